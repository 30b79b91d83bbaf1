// The golden plan: which entries an oracle evicts, from recorded future attention alone (docs/method.md,
// "Golden Eviction").
#pragma once

#include <torch/types.h>

#include "trainer/eviction/evicted_pass.h"

namespace foresight {

/// One layer's plan. S steps, B candidates a step.
struct GoldenPlan {
  torch::Tensor
      evicted;  ///< [K, S, W] int64, original positions in order of eviction rank (least needed first)
  torch::Tensor candidates;    ///< [K, S, B] int64, original positions, ascending
  torch::Tensor contribution;  ///< [K, S, B] float32, C of each candidate: the most attention a later window
                               ///< still gives it
};

/// `attention` [K, windows, L] float32, one row per window of `size.window` queries. Step s: candidates are
/// the live entries but the newest W; the W of smallest C go, ties: the older position first. Throws
/// Error(kInput) when the shape does not fit, Error(kConfig) when the budget is not a multiple of the window.
GoldenPlan golden_plan(const torch::Tensor& attention, const CacheSize& size);

}  // namespace foresight
