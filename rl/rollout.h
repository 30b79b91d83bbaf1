// Rollouts: stored traces, teacher-forced under evictions that the policy draws (docs/method.md,
// "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "golden_eviction/recorded_trace.h"
#include "trainer/config/config.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// What the policy saw and did in one layer: enough for its likelihood, so the language model never runs
/// twice. R = copies * N rollouts (row c * N + n is copy c of trace n), S steps, M shortlisted candidates
/// (all B candidates with the independent likelihood).
struct LayerActions {
  torch::Tensor features;  ///< [S, R, K, M, F] float32, on the host
  torch::Tensor draws;     ///< [S, R, K, W] int64, indices into the M, in draw order
};

/// Rollouts of N traces of one length.
struct Rollouts {
  torch::Tensor losses;      ///< [R, L] under eviction; zero for t < first_scored
  torch::Tensor divergence;  ///< [R, L] KL(full KV || evicted), with reward: expected_rise; else undefined
  std::vector<LayerActions> layers;
};

/// Some of the copies of a group.
struct CopyRange {
  std::int64_t first = 0, count = 0;
};

/// Runs these copies of each trace (count 0: all grpo.group_size of them). Draws come from the stream (seed,
/// step, trace, copy): neither batch nor rank changes them. The shared prefix is computed once per trace.
Rollouts run_rollouts(const Transformer& model, const std::vector<const RecordedTrace*>& traces,
                      const Scorer& scorer, const GrpoConfig& config, const CacheSize& size,
                      std::uint64_t seed, std::int64_t step,
                      const std::function<void(std::int64_t)>& on_tokens = {}, CopyRange copies = {});

/// Log-likelihood of a layer's draws under `scorer`, differentiable in its weights: the mean over the W draws
/// [S, R, K] with Plackett-Luce, per draw [S, R, K, W] with the independent likelihood (docs/method.md,
/// "Conventions").
torch::Tensor draw_log_likelihood(const Scorer& scorer, std::int64_t layer, const LayerActions& actions,
                                  const GrpoConfig& config);

}  // namespace foresight
