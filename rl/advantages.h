// Group-relative advantages (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include "trainer/config/choices.h"

namespace foresight {

/// The least deviation of credits, in nats: it keeps differences that only come from rounding equal losses
/// (an ulp of a loss of 1 nat is 1e-7) small.
inline constexpr double kLeastDeviationNats = 1e-4;

/// (c - mean) / deviation, with the mean over dimension 0, the G rollouts of one trace. `credits` [G, S] has
/// a column for each step, or one for the whole trace. The deviation is the population deviation of a column
/// (kStep), or of all columns, each around its own mean (kTrace); it is at least kLeastDeviationNats. Returns
/// the same shape and dtype, detached; computed in double. A column whose credits are all equal gives exactly
/// 0, and so does G = 1. Throws Error(kInternal) for another shape or G = 0.
torch::Tensor group_advantages(const torch::Tensor& credits, AdvantageScale scale);

/// The deviation of kTrace: root of the mean over steps and rollouts of (c - mean over the group)^2, at least
/// kLeastDeviationNats.
double credit_deviation(const torch::Tensor& credits);

}  // namespace foresight
