// What a forward pass does to every row between its matrix products. Values are float32 or bfloat16 as the
// products take and give them; the arithmetic is in float32.
#pragma once

#include <torch/types.h>

namespace foresight {

/// Root-mean-square norm over the last dimension (Zhang & Sennrich 2019): hidden [..., n], weight [n] float32
/// or one that broadcasts. Returns [..., n] of `result`.
torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result = torch::kFloat32);

/// Rotary embedding (Su et al. 2021) of input [R, n, T, d] with the halves rotated; cosine and sine [R or 1,
/// 1, T, d / 2] float32. Returns [R, n, T, d] float32, contiguous.
torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine);

/// silu(first half) * second half of the last dimension (Shazeer 2020): [..., 2 n] -> [..., n] of its type.
torch::Tensor gated_silu(const torch::Tensor& gate_up);

/// The same with gelu by its tanh formula (Hendrycks & Gimpel 2016), from torch's operators.
torch::Tensor gated_gelu(const torch::Tensor& gate_up);

/// Of gpt-oss, from torch's operators: x sigmoid(1.702 x) (1 + y) of the first half x, at most 7, and the
/// second half y between -7 and 7.
torch::Tensor gated_clamped(const torch::Tensor& gate_up);

/// cap * tanh(values / cap) in place; nothing where `cap` is 0. Returns the values.
torch::Tensor soft_capped(torch::Tensor values, double cap);

/// hidden [...] float32 += update [...].
void add_update(torch::Tensor& hidden, const torch::Tensor& update);

/// Causal softmax in float32: scores [..., T, n] of T queries, of which query t sees the first n - T + t + 1
/// entries, become softmax(scale * scores), 0 where nothing is seen. In place where that is possible; returns
/// the result. With `sinks` [m] float32, e^sink stands in the denominators too: matrix b of the [T, n] takes
/// sinks[b % m].
torch::Tensor causal_softmax(torch::Tensor scores, double scale, const torch::Tensor& sinks = {});

/// Of each row of logits, float32.
struct LossAndEntropy {
  torch::Tensor loss;     ///< [N] minus the log probability of the target, nats
  torch::Tensor entropy;  ///< [N] of the distribution, nats
};

/// logits [N, vocabulary], targets [N] int64. Throws Error(kInternal) for a target outside the vocabulary; on
/// a GPU its loss is no number instead.
LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

/// The same from torch's operators, one after the other: for values with gaps. Packed rows the functions
/// above go over once instead (docs/performance.md), on a GPU in one launch (gpu_rows.h), to the same values
/// but for rounding; a row's values depend on neither the rows beside it nor the threads.
namespace plain {

torch::Tensor rms_norm(const torch::Tensor& hidden, const torch::Tensor& weight, double epsilon,
                       torch::ScalarType result = torch::kFloat32);
torch::Tensor rotate(const torch::Tensor& input, const torch::Tensor& cosine, const torch::Tensor& sine);
torch::Tensor gated_silu(const torch::Tensor& gate_up);
torch::Tensor causal_softmax(torch::Tensor scores, double scale, const torch::Tensor& sinks = {});
LossAndEntropy loss_and_entropy(const torch::Tensor& logits, const torch::Tensor& targets);

}  // namespace plain
}  // namespace foresight
