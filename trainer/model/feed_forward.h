// The feed-forward part of a layer: one gated product, or a mixture of experts.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "trainer/model_files/model_shape.h"

namespace foresight {

/// One gated product for every token (Shazeer 2020).
struct DenseWeights {
  torch::Tensor gate_up;  // [2 n, hidden]
  torch::Tensor down;     // [hidden, n]
  Activation activation = Activation::kSilu;
  torch::Tensor gate_up_bias = {}, down_bias = {};  // [2 n], [hidden] float32 or undefined
};

/// A mixture of E experts, each a gated product of its own.
struct ExpertWeights {
  torch::Tensor router;                      // [E, hidden] float32
  std::vector<torch::Tensor> gate_up, down;  // of each expert [2 n, hidden], [hidden, n]
  std::int64_t chosen = 0;                   // experts that a token goes through
  bool normalised = false;                   // their probabilities are divided by their sum
  bool chosen_first = false;                 // the softmax is over the chosen ones' scores alone
  Activation activation = Activation::kSilu;
  std::optional<DenseWeights> shared = {};  // an expert that every token goes through
  torch::Tensor shared_gate = {};           // [1, hidden] float32: its share is the sigmoid of the product
  torch::Tensor router_bias = {}, gate_up_bias = {},
                down_bias = {};  // [E], [E, 2 n], [E, hidden] float32 or undefined
};

/// down(activation(gate(input)) * up(input)): input [..., hidden] -> [..., hidden] of the weights' type, or
/// float32 where there are biases.
torch::Tensor dense_feed_forward(const torch::Tensor& input, const DenseWeights& weights);

/// Which experts the tokens go through, and how much each counts.
struct Routing {
  torch::Tensor experts;  ///< [N, chosen] int64, distinct for each token
  torch::Tensor weights;  ///< [N, chosen] float32
};

/// The experts of largest probability, softmax(router input) in float32 over all experts or over the chosen
/// ones, for input [N, hidden].
Routing route(const torch::Tensor& input, const ExpertWeights& weights);

/// The weighted sum over a token's experts: input [..., hidden] -> [..., hidden] float32. Tokens are sorted
/// by expert, and each expert that any of them chose makes one product of its tokens. The terms of a token
/// are added in the order of its routing, so that the result does not depend on how the tokens were sorted; a
/// shared expert's share comes last.
torch::Tensor expert_feed_forward(const torch::Tensor& input, const ExpertWeights& weights);

/// Of either kind.
using FeedForwardWeights = std::variant<DenseWeights, ExpertWeights>;

/// input [..., hidden] -> [..., hidden], as the function of the weights' kind above.
torch::Tensor feed_forward(const torch::Tensor& input, const FeedForwardWeights& weights);

}  // namespace foresight
