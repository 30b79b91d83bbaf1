#include "trainer/model/linear_product.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

#include "trainer/model/few_rows.h"

namespace foresight {
namespace {

/// torch's operators on packed weights, which have no other name in C++; nullopt where torch was built
/// without oneDNN or the processor has no products of bfloat16.
struct PackedOperators {
  using Pack = torch::Tensor(const torch::Tensor&, std::optional<std::int64_t>);
  using Multiply = torch::Tensor(const torch::Tensor&, const torch::Tensor&,
                                 const std::optional<torch::Tensor>&, std::string_view,
                                 c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  c10::TypedOperatorHandle<Pack> pack;
  c10::TypedOperatorHandle<Multiply> multiply;

  static const std::optional<PackedOperators>& get() {
    static const std::optional<PackedOperators> operators = []() -> std::optional<PackedOperators> {
      c10::Dispatcher& dispatcher = c10::Dispatcher::singleton();
      const auto supported = dispatcher.findSchema({"mkldnn::_is_mkldnn_bf16_supported", ""});
      const auto pack = dispatcher.findSchema({"mkldnn::_reorder_linear_weight", ""});
      const auto multiply = dispatcher.findSchema({"mkldnn::_linear_pointwise", ""});
      if (!supported || !pack || !multiply || !supported->typed<bool()>().call()) return std::nullopt;
      return PackedOperators{pack->typed<Pack>(), multiply->typed<Multiply>()};
    }();
    return operators;
  }
};

/// The product with a packed weight, which has no bias and no function after it.
torch::Tensor packed_product(const torch::Tensor& input, const torch::Tensor& weight) {
  const c10::List<std::optional<at::Scalar>> no_numbers;
  return PackedOperators::get()->multiply.call(input, weight, std::nullopt, "none", no_numbers, std::nullopt);
}

}  // namespace

torch::Tensor packed_weight(const torch::Tensor& weight) {
  const bool suits = weight.is_cpu() && weight.scalar_type() == torch::kBFloat16 && weight.dim() == 2 &&
                     weight.numel() > 0 && PackedOperators::get().has_value();
  if (!suits) return weight;
  const torch::NoGradGuard no_grad;
  // The layout for one row serves any number of rows, with the sums that torch::linear() gives.
  constexpr std::int64_t kRows = 1;
  return PackedOperators::get()->pack.call(weight.contiguous(), kRows);
}

torch::Tensor linear_product(const torch::Tensor& input, const torch::Tensor& weight,
                             const torch::Tensor& bias) {
  const auto type = weight.scalar_type();
  const bool packed = weight.is_mkldnn(), few = !packed && suits_few_rows(input, weight);
  if (!packed && !few && type == torch::kFloat32) return torch::linear(input, weight, bias);
  const torch::Tensor product = packed ? packed_product(input.to(type), weight)
                                : few  ? few_rows_linear(input, weight).to(type)
                                       : torch::linear(input.to(type), weight);
  return bias.defined() ? product.to(torch::kFloat32) + bias : product;
}

}  // namespace foresight
