// From the losses of a group to the advantages of its actions (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include "rl/advantages.h"
#include "trainer/config/cache_size.h"
#include "trainer/config/choices.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// The reward of a rollout, and how its evictions share it.
struct CreditOptions {
  RewardShape reward = RewardShape::kClampedRise;
  double threshold_nats = 1.5;  ///< of squared_large_rise, and of large_rise_share
  double clamp_low_nats = -1.0, clamp_high_nats = 4.0;
  RewardTokens tokens = RewardTokens::kLowEntropy;
  double low_entropy_share = 0.8;
  Credit credit = Credit::kStep;
  double discount = 0.5;  ///< per window
  AdvantageScale scale = AdvantageScale::kTrace;
};

/// The cost of each token, elementwise: `rise` and `divergence` (with expected_rise; otherwise undefined)
/// have the same shape, which is returned.
torch::Tensor token_cost(const torch::Tensor& rise, const torch::Tensor& divergence,
                         const CreditOptions& options);

/// The tokens whose costs make the reward: [L] bool.
torch::Tensor rewarded_tokens(const RecordedTrace& trace, const CacheSize& size,
                              const CreditOptions& options);

/// The group of one trace.
struct GroupCredit {
  torch::Tensor advantages;  ///< [S, G]
  torch::Tensor rewards;     ///< [G]: the reward of each whole trace, by the configured shape
  double deviation = 0;      ///< the divisor of centred credits; unused with AdvantageScale::kStep
  double loss_rise = 0;      ///< mean over the group and the scored tokens
  double low_entropy_loss_rise = 0;
  double large_rise_share = 0;  ///< share of reward tokens whose loss rises by more than the threshold
  bool without_signal = false;  ///< all advantages are 0: equal rewards everywhere
};

/// losses [G, L] of the group under eviction; divergence [G, L] from full KV's predictions, the expected rise
/// of the next token, for reward: expected_rise (undefined for other rewards). Throws Error(kNumeric), naming
/// step, trace, token and rollout, for a value that is not finite.
/// `step` counts from 0.
GroupCredit group_credit(const torch::Tensor& losses, const torch::Tensor& divergence,
                         const RecordedTrace& trace, const CreditOptions& options, const CacheSize& size,
                         std::int64_t step);

}  // namespace foresight
