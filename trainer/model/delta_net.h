// GatedDeltaNet (Yang, Kautz & Hatamizadeh 2025, "Gated Delta Networks"): the recurrent layer of Qwen3-Next.
#pragma once

#include <torch/types.h>

#include "trainer/model/recurrent_state.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Weights of a layer. Channels of the convolution are those of queries, keys and values, one after the
/// other.
struct DeltaNetWeights {
  torch::Tensor input;        // [channels + gate, hidden]: queries, keys, values, output gates
  torch::Tensor rates;        // [2 value heads, hidden] float32: of writing, of forgetting
  torch::Tensor convolution;  // [channels, 1, width] float32
  torch::Tensor time_bias;    // [value heads] float32
  torch::Tensor decay;        // [value heads] float32, below 0
  torch::Tensor norm;         // [value dimensions] float32
  torch::Tensor output;       // [hidden, value heads * value dimensions]
};

/// What a delta rule takes in, float32: queries and keys [R, H, T, dk] (queries scaled), values [R, H, T,
/// dv], the logarithm of what is kept and the rate of writing [R, H, T].
struct DeltaSteps {
  torch::Tensor query, key, value, kept, rate;
};

/// The gated delta rule, token by token: the memory M [R, H, dk, dv] is multiplied by e^kept, then rate *
/// (value - M^T key) is written at key; the output is M^T query. Returns [R, H, T, dv] and changes `memory`.
torch::Tensor delta_rule_by_token(const DeltaSteps& steps, torch::Tensor& memory);

/// The same by chunks of tokens, each of which is one triangular system: what the tokens of a chunk write
/// depends linearly on what those before them do.
torch::Tensor delta_rule_by_chunk(const DeltaSteps& steps, torch::Tensor& memory);

/// hidden [R, T, n] normed -> [R, T, n] of the products' type. `state` goes from before the T tokens to
/// behind them; one token goes through delta_rule_by_token(), more by chunks.
torch::Tensor delta_net(const torch::Tensor& hidden, const DeltaNetWeights& weights, const ModelShape& shape,
                        RecurrentState& state);

}  // namespace foresight
