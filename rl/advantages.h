// Group-relative advantages (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include "trainer/config/choices.h"

namespace foresight {

/// Deviations of credits below this count as this, in nats: differences that rounding makes of equal losses
/// (an ulp of a loss of a nat is 1e-7) stay differences of nothing.
inline constexpr double kLeastDeviationNats = 1e-4;

/// (c - mean) / deviation, the mean over dimension 0, the G rollouts of one trace. `credits` [G, S], a column
/// for each step, or one for the whole trace. The deviation is the population's of a column (kStep), or of
/// all columns, each about its own mean (kTrace); kLeastDeviationNats at least. Returns the same shape and
/// dtype, detached; computed in double. Exactly 0 in a column whose credits are all equal, so also for G = 1.
/// Throws Error(kInternal) for another shape or G = 0.
torch::Tensor group_advantages(const torch::Tensor& credits, AdvantageScale scale);

/// The deviation of kTrace: root of the mean over steps and rollouts of (c - mean over the group)^2, and
/// kLeastDeviationNats at least.
double credit_deviation(const torch::Tensor& credits);

}  // namespace foresight
