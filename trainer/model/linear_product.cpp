#include "trainer/model/linear_product.h"

#include "trainer/model/few_rows.h"

namespace foresight {

torch::Tensor linear_product(const torch::Tensor& input, const torch::Tensor& weight,
                             const torch::Tensor& bias) {
  const auto type = weight.scalar_type();
  const bool few = suits_few_rows(input, weight);
  if (!few && type == torch::kFloat32) return torch::linear(input, weight, bias);
  const torch::Tensor product =
      few ? few_rows_linear(input, weight).to(type) : torch::linear(input.to(type), weight);
  return bias.defined() ? product.to(torch::kFloat32) + bias : product;
}

}  // namespace foresight
