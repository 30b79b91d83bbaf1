// Group-relative advantages (docs/method.md, "Reinforcement learning").
#pragma once

#include <torch/types.h>

namespace foresight {

/// (r - mean) / (population standard deviation + 1e-8) over dimension 0, the G rollouts of one trace.
/// `rewards` [G, ...], for example [G] with credit by trace or [G, S] by step: each column is its own group.
/// Returns the same shape and dtype, detached; computed in double. Exactly 0 where all rewards of a group are
/// equal, so also for G = 1. Throws Error(kInternal) for G = 0 or a scalar.
torch::Tensor group_advantages(const torch::Tensor& rewards);

/// Share of the groups (columns) whose rewards are all equal and carry no signal, 0 .. 1; 0 without columns.
double zero_std_share(const torch::Tensor& rewards);

}  // namespace foresight
