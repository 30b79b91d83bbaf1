// Checks before an evaluation runs that there are tokens to score.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// For each trace, which of its tokens belong to a completion.
using Completions = std::vector<std::vector<std::uint8_t>>;

Completions completions_of(const std::vector<RecordedTrace>& traces);

/// Throws Error(kInput) where evaluation.score leaves no token of the evaluation traces to score, at
/// eviction.budget or (with evaluation.budgets) on the tokens that all budgets score.
void require_scored_tokens(const Completions& traces, const Config& config);

}  // namespace foresight
