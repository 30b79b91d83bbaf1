// Rewards of a rollout: what its evictions cost in language-model loss (docs/method.md, "Reinforcement
// learning").
// rise[r, t] = evicted loss - full-KV loss of predicting token t in rollout r, in nats. R rollouts of one
// trace of T tokens. Values outside the mask are ignored, even NaN. Rewards of an empty mask are 0.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foresight {

/// Elementwise costs in the dtype of `rise`: rise^2 if rise > threshold, 0 otherwise; and rise clamped to low
/// .. high.
torch::Tensor squared_large_rise(const torch::Tensor& rise, double threshold_nats);
torch::Tensor clamped_rise(const torch::Tensor& rise, double low_nats, double high_nats);

/// Reward of the trace: minus the mean of `cost` over the masked tokens. `cost` [R, T], `mask` [T] bool;
/// returns [R]. Throws Error(kInternal) when the shapes do not fit.
torch::Tensor trace_rewards(const torch::Tensor& cost, const torch::Tensor& mask);

/// Reward of the tokens that follow each eviction step, up to the next: step s covers t = first_token +
/// s*window .. first_token + (s+1)*window - 1, cut at T - 1, with first_token = p_0 + 1 and p_s = B + (s+1)*W
/// (docs/method.md, "The cache"). Minus the mean of `cost` over the masked tokens of the window; 0 when it
/// has none. `cost` [R, T]: one of the elementwise costs above, or the rise itself; `mask` [T] bool; `steps`
/// = S. Returns [R, S]. Throws Error(kInternal) when shapes, window, first token or steps do not fit.
torch::Tensor window_rewards(const torch::Tensor& cost, const torch::Tensor& mask, std::int64_t first_token,
                             std::int64_t window, std::int64_t steps);

/// Credit of the action at step s: sum over j >= s of discount^(j - s) * rewards[:, j]. `rewards` [R, S];
/// returns [R, S].
torch::Tensor discounted_credit(const torch::Tensor& rewards, double discount);

}  // namespace foresight
