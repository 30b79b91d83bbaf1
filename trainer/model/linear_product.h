// The matrix product of a forward pass, and the layout of its weights.
#pragma once

#include <torch/types.h>

namespace foresight {

/// weight [out, in] in the layout that the CPU's products of bfloat16 read, for linear_product() alone:
/// torch::linear() arranges the whole matrix again at every call (docs/decisions.md). Other types, other
/// devices and processors without such products get `weight` itself.
torch::Tensor packed_weight(const torch::Tensor& weight);

/// input [..., in] times weight [out, in] transposed, in the weight's type, plus `bias` [out] where it is
/// defined: then float32. The weight may be packed_weight()'s. On the CPU a few rows of float32 go through
/// few_rows_linear().
torch::Tensor linear_product(const torch::Tensor& input, const torch::Tensor& weight,
                             const torch::Tensor& bias = {});

}  // namespace foresight
