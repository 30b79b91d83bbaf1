#include "trainer/operators/torch_calls.h"

#include <array>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace foresight::operators {
namespace {

using torch::stable::detail::from;

/// Calls aten::NAME.OVERLOAD; its outputs, at most as many as arguments, begin the stack that comes back.
template <typename... Arguments>
std::array<StableIValue, sizeof...(Arguments)> outputs(const char* name, const char* overload,
                                                       const Arguments&... arguments) {
  std::array<StableIValue, sizeof...(Arguments)> stack{from(arguments)...};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION));
  return stack;
}

template <typename... Arguments>
Tensor call(const char* name, const char* overload, const Arguments&... arguments) {
  return torch::stable::detail::to<Tensor>(outputs(name, overload, arguments...)[0]);
}

/// {values, indices}
std::array<Tensor, 2> sorted(const Tensor& values, bool descending) {
  const auto pair =
      outputs("aten::sort", "stable", values, std::optional<bool>(true), std::int64_t{-1}, descending);
  return {torch::stable::detail::to<Tensor>(pair[0]), torch::stable::detail::to<Tensor>(pair[1])};
}

}  // namespace

Tensor on_cpu(const Tensor& tensor) {
  return torch::stable::to(tensor, torch::stable::Device(torch::headeronly::DeviceType::CPU));
}

Tensor on_device(const std::vector<std::int64_t>& values, const Tensor& like) {
  const std::array<std::int64_t, 1> sizes{static_cast<std::int64_t>(values.size())};
  Tensor own = torch::stable::empty(sizes, ScalarType::Long);
  std::copy(values.begin(), values.end(), own.mutable_data_ptr<std::int64_t>());
  return torch::stable::to(own, like.device());
}

Tensor number(double value, const Tensor& like) {
  return torch::stable::full({}, value, ScalarType::Float, std::nullopt, like.device());
}

Tensor as_type(const Tensor& tensor, ScalarType type) {
  return torch::stable::to(tensor, std::optional<ScalarType>(type));
}

Tensor floats(const Tensor& tensor) {
  return as_type(tensor, ScalarType::Float);
}

Tensor part(const Tensor& values, std::int64_t dimension, std::int64_t start, std::int64_t length) {
  Tensor own = values;
  return torch::stable::narrow(own, dimension, start, length);
}

void fill(Tensor place, const Tensor& values) {
  torch::stable::copy_(place, values);
}

void clear(Tensor place) {
  torch::stable::zero_(place);
}

Tensor add(const Tensor& left, const Tensor& right) {
  return torch::stable::subtract(left, right, -1.0);
}

Tensor times(const Tensor& left, const Tensor& right) {
  return call("aten::mul", "Tensor", left, right);
}

Tensor larger(const Tensor& left, const Tensor& right) {
  return call("aten::maximum", "", left, right);
}

Tensor smaller(const Tensor& left, const Tensor& right) {
  return call("aten::minimum", "", left, right);
}

Tensor log1p(const Tensor& values) {
  return call("aten::log1p", "", values);
}

Tensor gelu(const Tensor& values) {
  return call("aten::gelu", "", values, std::string("none"));
}

Tensor softmax(const Tensor& values) {
  return call("aten::softmax", "int", values, std::int64_t{-1}, std::optional<ScalarType>());
}

Tensor highest(const Tensor& values, std::int64_t dimension) {
  return call("aten::amax", "", values, std::vector<std::int64_t>{dimension}, false);
}

Tensor lowest(const Tensor& values, std::int64_t dimension) {
  return call("aten::amin", "", values, std::vector<std::int64_t>{dimension}, false);
}

Tensor sum(const Tensor& values, std::int64_t dimension) {
  return call("aten::sum", "dim_IntList", values, std::optional(std::vector<std::int64_t>{dimension}), false,
              std::optional<ScalarType>());
}

Tensor above_diagonal(const Tensor& matrix, std::int64_t diagonal) {
  return call("aten::triu", "", matrix, diagonal);
}

Tensor concatenate(const std::vector<Tensor>& tensors, std::int64_t dimension) {
  return call("aten::cat", "", tensors, dimension);
}

Tensor stable_order(const Tensor& values, bool descending) {
  return sorted(values, descending)[1];
}

Tensor ascending(const Tensor& values) {
  return sorted(values, false)[0];
}

Tensor gather(const Tensor& values, std::int64_t dimension, const Tensor& index) {
  return call("aten::gather", "", values, dimension, index, false);
}

Tensor expand(const Tensor& values, const std::vector<std::int64_t>& sizes) {
  return call("aten::expand", "", values, sizes, false);
}

Tensor rows_of(const Tensor& values, const Tensor& index) {
  return call("aten::index_select", "", values, std::int64_t{0}, index);
}

void put_rows(Tensor values, const Tensor& index, const Tensor& source) {
  call("aten::index_copy_", "", values, std::int64_t{0}, index, source);
}

bool any_nan(const Tensor& values) {
  const Tensor found = on_cpu(call("aten::any", "", call("aten::isnan", "", values)));
  return *found.const_data_ptr<bool>();
}

}  // namespace foresight::operators
