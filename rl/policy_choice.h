// The policy at one eviction of one layer: its candidates, how it samples, and the likelihood of its samples
// (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "trainer/config/choices.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// How scores become a policy.
struct PolicyOptions {
  double temperature = 1;              ///< logits = score / temperature
  std::int64_t shortlist_windows = 2;  ///< it samples from this many windows of the highest scores
  Likelihood likelihood = Likelihood::kPlackettLuce;
};

/// R rows, K KV heads; M candidates that the likelihood is over: the shortlist, or with the independent
/// likelihood all of them.
struct PolicyChoice {
  torch::Tensor features;  ///< [R, K, M, F] float32
  torch::Tensor logits;    ///< [R, K, M] of the policy that sampled
  torch::Tensor draws;     ///< [R, K, W] int64, indices into the M, in draw order
  torch::Tensor closed;    ///< [R, K or 1, M] bool: protected ones, which are not sampled; undefined: none
};

/// Draws [R, K, W] int64 into a shortlist, in draw order, given its logits [R, K, M].
using DrawSource = std::function<torch::Tensor(const EvictionView& view, const torch::Tensor& logits)>;
/// Called with every choice, with gradients switched off.
using ChoiceConsumer = std::function<void(const EvictionView& view, const PolicyChoice& choice)>;

/// Evicts what `draw` samples from the shortlist of `policy` (on the device of the views); `consume`
/// (optional) is called with the choice before its entries are evicted.
EvictionSelector policy_selector(const Scorer& policy, const PolicyOptions& options, DrawSource draw,
                                 ChoiceConsumer consume);

/// Log-likelihood of draws [..., W] given logits [..., M], differentiable: the mean over the W draws [...]
/// with Plackett-Luce, per draw [..., W] with the independent likelihood.
torch::Tensor choice_log_likelihood(const torch::Tensor& logits, const torch::Tensor& draws,
                                    Likelihood likelihood);

/// The logits [R, K, M] that `scorer` gives the candidates of a choice; differentiable in its weights.
torch::Tensor choice_logits(const Scorer& scorer, std::int64_t layer, const PolicyChoice& choice,
                            const PolicyOptions& options);

}  // namespace foresight
