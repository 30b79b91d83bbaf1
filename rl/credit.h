// From the losses of a group to the advantages of its actions (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include "golden_eviction/recorded_trace.h"
#include "trainer/config/config.h"

namespace foresight {

/// The group of one trace.
struct GroupCredit {
  torch::Tensor advantages;  ///< [S, G]
  torch::Tensor rewards;     ///< [G]: the reward of each whole trace, by the configured shape
  double loss_rise = 0;      ///< mean over the group and the scored tokens
  double low_entropy_loss_rise = 0;
  double large_rise_share = 0;  ///< share of reward tokens whose loss rises by more than the threshold
  bool without_signal = false;  ///< all advantages are 0: equal rewards everywhere
};

/// losses [G, L] of the group under eviction; divergence [G, L] from full KV's predictions, which is the rise
/// that they expect of the next token, for reward: expected_rise (undefined for the others). Throws
/// Error(kNumeric) naming step, trace, token and rollout for a value that is not finite. `step` counts from
/// 0.
GroupCredit group_credit(const torch::Tensor& losses, const torch::Tensor& divergence,
                         const RecordedTrace& trace, const GrpoConfig& config, const CacheSize& size,
                         std::int64_t step);

}  // namespace foresight
