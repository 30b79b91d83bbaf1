#include "trainer/model/linear_product.h"

#include "trainer/model/few_rows.h"

namespace foresight {

torch::Tensor linear_product(const torch::Tensor& input, const torch::Tensor& weight,
                             const torch::Tensor& bias) {
  if (suits_few_rows(input, weight)) {
    const torch::Tensor product = few_rows_linear(input, weight);
    return bias.defined() ? product + bias : product;
  }
  if (weight.scalar_type() == torch::kFloat32) return torch::linear(input, weight, bias);
  const torch::Tensor product = torch::linear(input.to(weight.scalar_type()), weight);
  return bias.defined() ? product.to(torch::kFloat32) + bias : product;
}

}  // namespace foresight
