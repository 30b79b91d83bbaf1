#include "trainer/evaluation/scored_traces.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/scoring.h"

namespace foresight {
namespace {

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
  std::size_t longest = 0;
  for (const std::vector<std::uint8_t>& trace : traces) longest = std::max(longest, trace.size());
  const auto first_of = [&](std::int64_t budget) {
    return first_scored_token(static_cast<std::int64_t>(longest), {budget, config.eviction.window});
  };
  std::int64_t first = first_of(config.eviction.budget);
  for (const std::int64_t budget : config.evaluation.budgets) first = std::max(first, first_of(budget));
  if (any_completion_from(traces, first)) return;
  throw Error(ErrorKind::kInput,
              concat("evaluation.score=completion: no token is scored: scoring begins at token ", first,
                     ", and none of the ", traces.size(),
                     " evaluation traces has a completion token from there on: give data.evaluation "
                     "rows of \"prompt\" and \"completion\", take a smaller budget, or "
                     "evaluation.score=all"));
}

}  // namespace foresight
