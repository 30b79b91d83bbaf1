#include "trainer/evaluation/scored_traces.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// As first_scored_token(), of lengths alone.
std::int64_t first_scored(const Completions& traces, const CacheSize& size) {
  const bool touched = std::any_of(traces.begin(), traces.end(), [&](const auto& trace) {
    return static_cast<std::int64_t>(trace.size()) > size.first_scored();
  });
  return touched ? size.first_scored() : 1;
}

bool any_completion_from(const Completions& traces, std::int64_t first) {
  return std::any_of(traces.begin(), traces.end(), [&](const std::vector<std::uint8_t>& trace) {
    const auto begin = std::min(static_cast<std::int64_t>(trace.size()), first);
    return std::count(trace.begin() + begin, trace.end(), 0) <
           static_cast<std::int64_t>(trace.size()) - begin;
  });
}

}  // namespace

Completions completions_of(const std::vector<RecordedTrace>& traces) {
  Completions completions;
  for (const RecordedTrace& trace : traces) {
    const torch::Tensor marks = trace.completion.to(torch::kUInt8).contiguous();
    const std::uint8_t* data = marks.const_data_ptr<std::uint8_t>();
    completions.emplace_back(data, data + marks.numel());
  }
  return completions;
}

void require_scored_tokens(const Completions& traces, const Config& config) {
  if (traces.empty() || config.evaluation.score != ScoreTokens::kCompletion) return;
  std::int64_t first = first_scored(traces, {config.eviction.budget, config.eviction.window});
  for (const std::int64_t budget : config.evaluation.budgets)
    first = std::max(first, first_scored(traces, {budget, config.eviction.window}));
  if (any_completion_from(traces, first)) return;
  throw Error(ErrorKind::kInput,
              concat("evaluation.score=completion: none of the ", traces.size(),
                     " evaluation traces has a token of a completion from token ", first,
                     " on, where eviction begins to count, so that nothing is scored: give data.evaluation "
                     "rows of \"prompt\" and \"completion\", take a smaller budget, or "
                     "evaluation.score=all"));
}

}  // namespace foresight
