// Which tokens count (method.md section 10).
#pragma once

#include <torch/torch.h>

#include "golden_eviction/recorded_trace.h"
#include "trainer/config/config.h"

namespace foresight {

/// [L] bool: tokens t >= first_scored, of completions only when asked.
torch::Tensor scored_tokens(const RecordedTrace& trace, std::int64_t first_scored, ScoreTokens score);

/// [L] bool: the N - floor((1 - share) N) scored tokens of lowest full-KV entropy, ties to the earlier position.
torch::Tensor low_entropy_tokens(const torch::Tensor& entropy, const torch::Tensor& scored, double share);

}  // namespace foresight
