// The matrix product of a forward pass.
#pragma once

#include <torch/types.h>

namespace foresight {

/// input [..., in] times weight [out, in] transposed, in the weight's type, plus `bias` [out] where it is
/// defined: then float32. On the CPU a few rows go through few_rows_linear() where it takes them.
torch::Tensor linear_product(const torch::Tensor& input, const torch::Tensor& weight,
                             const torch::Tensor& bias = {});

}  // namespace foresight
