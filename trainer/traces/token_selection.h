// Which tokens count (docs/method.md, "The cache" and "Conventions").
#pragma once

#include <torch/types.h>

#include "trainer/config/choices.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// [L] bool: tokens t >= first_scored, of completions only when asked.
torch::Tensor scored_tokens(const RecordedTrace& trace, std::int64_t first_scored, ScoreTokens score);

/// The low-entropy tokens E of one trace: of the N scored tokens the N - floor((1 - share)*N) of lowest
/// full-KV entropy, ties to the earlier position (0.8 of 139 drops 27). `entropy` [T]; `scored` [T] bool;
/// `share` in 0 .. 1. Returns [T] bool. Throws Error(kInternal) when shapes, type or share do not fit.
torch::Tensor low_entropy_mask(const torch::Tensor& entropy, const torch::Tensor& scored, double share = 0.8);

/// The same with all tokens from `first_scored` on scored.
torch::Tensor low_entropy_mask(const torch::Tensor& entropy, std::int64_t first_scored, double share = 0.8);

}  // namespace foresight
