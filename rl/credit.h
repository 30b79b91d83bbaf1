// From the losses of a group to the advantages of its actions (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include "rl/advantages.h"
#include "trainer/config/cache_size.h"
#include "trainer/config/choices.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// What a rollout is rewarded for, and how its evictions share in it.
struct CreditOptions {
  RewardShape reward = RewardShape::kClampedRise;
  double threshold_nats = 1.5;  ///< of squared_large_rise, and of what counts as a large rise
  double clamp_low_nats = -1.0, clamp_high_nats = 4.0;
  RewardTokens tokens = RewardTokens::kLowEntropy;
  double low_entropy_share = 0.8;
  Credit credit = Credit::kStep;
  double discount = 0.5;  ///< per window
  AdvantageScale scale = AdvantageScale::kTrace;
};

/// What each token costs, elementwise: `rise` and `divergence` (with expected_rise; else undefined) of one
/// shape; returns that shape.
torch::Tensor token_cost(const torch::Tensor& rise, const torch::Tensor& divergence,
                         const CreditOptions& options);

/// The tokens whose cost counts: [L] bool.
torch::Tensor rewarded_tokens(const RecordedTrace& trace, const CacheSize& size,
                              const CreditOptions& options);

/// The group of one trace.
struct GroupCredit {
  torch::Tensor advantages;  ///< [S, G]
  torch::Tensor rewards;     ///< [G]: the reward of each whole trace, by the configured shape
  double deviation = 0;  ///< that centred credits were divided by; with AdvantageScale::kStep of no meaning
  double loss_rise = 0;  ///< mean over the group and the scored tokens
  double low_entropy_loss_rise = 0;
  double large_rise_share = 0;  ///< share of reward tokens whose loss rises by more than the threshold
  bool without_signal = false;  ///< all advantages are 0: equal rewards everywhere
};

/// losses [G, L] of the group under eviction; divergence [G, L] from full KV's predictions, which is the rise
/// that they expect of the next token, for reward: expected_rise (undefined for the others). Throws
/// Error(kNumeric) naming step, trace, token and rollout for a value that is not finite. `step` counts from
/// 0.
GroupCredit group_credit(const torch::Tensor& losses, const torch::Tensor& divergence,
                         const RecordedTrace& trace, const CreditOptions& options, const CacheSize& size,
                         std::int64_t step);

}  // namespace foresight
