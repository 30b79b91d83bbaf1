// What a forward pass does to every row between its matrix products.
#pragma once

#include <torch/types.h>

namespace foresight {

/// Root-mean-square norm over the last dimension, in float32 (Zhang & Sennrich 2019): hidden [..., n], weight
/// [n] or one that broadcasts.
torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon);

/// Rotary embedding (Su et al. 2021) of input [R, n, T, d] with the halves rotated; cosine and sine [R or 1,
/// 1, T, d / 2]. Returns [R, n, T, d], contiguous.
torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine);

/// silu(first half) * second half of the last dimension (Shazeer 2020): [..., 2 n] -> [..., n].
torch::Tensor gated_silu(const torch::Tensor& gate_up);

/// Of each row of logits.
struct LossAndEntropy {
  torch::Tensor loss;     ///< [N] minus the log probability of the target, nats
  torch::Tensor entropy;  ///< [N] of the distribution, nats
};

/// logits [N, vocabulary] float32, targets [N] int64.
LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

/// The same from torch's operators, one after the other: for what lies on a GPU, in another type or with
/// gaps. On float32 rows of the CPU the functions above go over the rows once instead (docs/performance.md),
/// to the same values but for rounding; a row's values depend on neither the rows beside it nor the threads.
namespace plain {

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon);
torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine);
torch::Tensor gated_silu(const torch::Tensor& gate_up);
LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace plain
}  // namespace foresight
