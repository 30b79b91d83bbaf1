// The functions of row_functions.h on a GPU, one launch each. Every tensor lies on the GPU, packed.
#pragma once

#include <torch/types.h>

#include "trainer/model/row_functions.h"

namespace foresight::gpu_rows {

/// Whether `tensor` is one that the functions take: on a GPU that this build has kernels for, float32 or
/// bfloat16, the last dimension without gaps.
bool suits(const torch::Tensor& tensor);

/// As foresight::rms_norm(), with one weight for each number of a row.
torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result);

/// As foresight::rotate(); the input may have gaps between its vectors.
torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine);

/// As foresight::gated_silu().
torch::Tensor gated_silu(const torch::Tensor& gate_up);

/// As foresight::loss_and_entropy(), but that a target outside the vocabulary gets a loss that is no number,
/// as nobody waits for the GPU to find out.
LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace foresight::gpu_rows
