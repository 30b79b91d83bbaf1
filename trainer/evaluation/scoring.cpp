#include "trainer/evaluation/scoring.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/traces/token_selection.h"

namespace foresight {
namespace {

double total(const torch::Tensor& values, const torch::Tensor& mask) {
  return values.to(torch::kFloat64).masked_select(mask).sum().item<double>();
}

TraceSums sum_trace(const PolicyRun& run, std::size_t index, const RecordedTrace& trace,
                    const torch::Tensor& scored, const torch::Tensor& low) {
  const torch::Tensor rise = run.loss[index].to(torch::kFloat64) - trace.loss.to(torch::kFloat64);
  TraceSums sums;
  sums.tokens = scored.sum().item<std::int64_t>();
  sums.low_tokens = low.sum().item<std::int64_t>();
  sums.loss = total(run.loss[index], scored);
  sums.full = total(trace.loss, scored);
  sums.rise = total(rise, scored);
  sums.low_rise = total(rise, low);
  if (!run.divergence.empty()) {
    sums.divergence = total(run.divergence[index], scored);
    sums.agreement = total(run.agreement[index], scored);
  }
  return sums;
}

double share(double sum, std::int64_t count) {
  return sum / static_cast<double>(std::max<std::int64_t>(count, 1));
}

/// Powers of two above the first scored token, then the longest trace.
std::vector<std::int64_t> position_ends(const std::vector<RecordedTrace>& traces, std::int64_t first_scored) {
  std::int64_t longest = 0;
  for (const RecordedTrace& trace : traces) longest = std::max(longest, trace.length());
  std::vector<std::int64_t> ends;
  for (std::int64_t end = 64; end < longest; end *= 2) {
    if (end > first_scored) ends.push_back(end);
  }
  ends.push_back(longest);
  return ends;
}

std::vector<PositionRise> rises_by_position(const PolicyRun& run, const std::vector<RecordedTrace>& traces,
                                            const std::vector<torch::Tensor>& scored,
                                            std::int64_t first_scored) {
  std::vector<PositionRise> rises;
  for (const std::int64_t end : position_ends(traces, first_scored)) {
    PositionRise rise;
    rise.end = end;
    double sum = 0;
    for (std::size_t i = 0; i < traces.size(); ++i) {
      const torch::Tensor before = scored[i].logical_and(torch::arange(traces[i].length()) < end);
      sum += total(run.loss[i].to(torch::kFloat64) - traces[i].loss.to(torch::kFloat64), before);
      rise.tokens += before.sum().item<std::int64_t>();
    }
    rise.loss_rise = share(sum, rise.tokens);
    rises.push_back(rise);
  }
  return rises;
}

void pool(PolicyResult& result, bool compared) {
  TraceSums all;
  for (const TraceSums& sums : result.sums) {
    all.tokens += sums.tokens;
    all.low_tokens += sums.low_tokens;
    all.loss += sums.loss;
    all.full += sums.full;
    all.rise += sums.rise;
    all.low_rise += sums.low_rise;
    all.divergence += sums.divergence;
    all.agreement += sums.agreement;
    result.trace_loss_rise.push_back(share(sums.rise, sums.tokens));
    result.trace_low_entropy_loss_rise.push_back(share(sums.low_rise, sums.low_tokens));
  }
  result.tokens = all.tokens;
  result.traces = static_cast<std::int64_t>(result.sums.size());
  result.loss = share(all.loss, all.tokens);
  result.loss_rise = share(all.rise, all.tokens);
  result.loss_ratio = all.full > 0 ? all.loss / all.full : 1.0;
  result.low_entropy_loss_rise = share(all.low_rise, all.low_tokens);
  result.high_entropy_loss_rise = share(all.rise - all.low_rise, all.tokens - all.low_tokens);
  if (!compared) return;
  result.divergence = share(all.divergence, all.tokens);
  result.agreement = share(all.agreement, all.tokens);
}

/// The figures of which entries a policy holds.
void add_kept_entries(const KeptEntries& entries, PolicyResult& result) {
  if (entries.boundary_evictions > 0)
    result.boundary_accuracy = entries.boundary / static_cast<double>(entries.boundary_evictions);
  if (entries.churn_evictions > 0)
    result.churn = entries.churn / static_cast<double>(entries.churn_evictions);
  if (!entries.prompt_live.defined() || entries.prompt_live[1][0].item<double>() == 0) return;
  const auto listed = [](const torch::Tensor& values) {
    const torch::Tensor whole = values.contiguous();
    return std::vector<double>(whole.const_data_ptr<double>(),
                               whole.const_data_ptr<double>() + whole.numel());
  };
  const torch::Tensor traces = entries.prompt_live[1];  // [S], falling: short traces have fewer evictions
  const std::int64_t evictions = (traces > 0).sum().item<std::int64_t>();
  result.prompt_live = listed((entries.prompt_live[0] / traces).narrow(0, 0, evictions));
  result.prompt_held_by = listed(entries.prompt_held_by / traces[0]);
}

}  // namespace

PolicyRun full_run(const std::vector<RecordedTrace>& traces) {
  PolicyRun run;
  run.name = "full";
  for (const RecordedTrace& trace : traces) run.loss.push_back(trace.loss);
  return run;
}

std::int64_t first_scored_token(const std::vector<RecordedTrace>& traces, const CacheSize& size) {
  std::int64_t longest = 0;
  for (const RecordedTrace& trace : traces) longest = std::max(longest, trace.length());
  return first_scored_token(longest, size);
}

std::int64_t first_scored_token(std::int64_t longest_tokens, const CacheSize& size) {
  return longest_tokens > size.first_scored() ? size.first_scored() : 1;
}

PolicyResult score_run(const PolicyRun& run, const std::vector<RecordedTrace>& traces,
                       const ScoringOptions& options) {
  if (run.loss.size() != traces.size()) {
    throw Error(ErrorKind::kInternal, concat("scoring: the run of '", run.name, "' has ", run.loss.size(),
                                             " traces, expected ", traces.size()));
  }
  PolicyResult result;
  result.name = run.name;
  std::vector<torch::Tensor> scored;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    scored.push_back(scored_tokens(traces[i], options.first_scored, options.score));
    const torch::Tensor low = low_entropy_mask(traces[i].entropy, scored[i], options.low_entropy_share);
    result.sums.push_back(sum_trace(run, i, traces[i], scored[i], low));
  }
  pool(result, !run.divergence.empty());
  result.tails = tails_of(run, traces, options);
  result.by_position = rises_by_position(run, traces, scored, options.first_scored);
  if (run.kept.evictions > 0) {
    const auto evictions = static_cast<double>(run.kept.evictions);
    result.attention_kept_by_head = run.kept.mass / evictions;
    result.attention_kept = result.attention_kept_by_head.mean().item<double>();
    result.golden_overlap = run.kept.golden_overlap / evictions;
    add_kept_entries(run.kept.entries, result);
  }
  return result;
}

RiseTails tails_of(const PolicyRun& run, const std::vector<RecordedTrace>& traces,
                   const ScoringOptions& options) {
  std::vector<torch::Tensor> rises;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const torch::Tensor scored = scored_tokens(traces[i], options.first_scored, options.score);
    const torch::Tensor rise = run.loss[i].to(torch::kFloat64) - traces[i].loss.to(torch::kFloat64);
    rises.push_back(rise.masked_select(scored));
  }
  return rise_tails(rises, options.window);
}

Difference difference_to(const PolicyResult& policy, const PolicyResult& baseline, std::uint64_t seed) {
  std::vector<double> all, low;
  std::vector<std::int64_t> tokens, low_tokens;
  for (std::size_t i = 0; i < policy.sums.size(); ++i) {
    all.push_back(policy.sums[i].rise - baseline.sums.at(i).rise);
    low.push_back(policy.sums[i].low_rise - baseline.sums.at(i).low_rise);
    tokens.push_back(policy.sums[i].tokens);
    low_tokens.push_back(policy.sums[i].low_tokens);
  }
  return {.baseline = baseline.name,
          .all = paired_bootstrap(all, tokens, seed),
          .low_entropy = paired_bootstrap(low, low_tokens, seed)};
}

const PolicyResult* best_rule(const std::vector<PolicyResult>& results) {
  const PolicyResult* best = nullptr;
  for (const PolicyResult& result : results) {
    if (!is_rule(result.name)) continue;
    if (best == nullptr || result.loss_rise < best->loss_rise) best = &result;
  }
  return best;
}

}  // namespace foresight
