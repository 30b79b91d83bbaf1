#include "trainer/evaluation/side_by_side.h"

#include <algorithm>
#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_pass.h"

namespace foresight {
namespace {

using Batch = std::vector<const RecordedTrace*>;

/// Runs of consecutive traces of one length, at most `most` each.
std::vector<Batch> equal_length_batches(const std::vector<RecordedTrace>& traces, std::int64_t most) {
  std::vector<Batch> batches;
  for (const RecordedTrace& trace : traces) {
    const bool joins = !batches.empty() && static_cast<std::int64_t>(batches.back().size()) < most &&
                       batches.back().front()->length() == trace.length();
    if (!joins) batches.emplace_back();
    batches.back().push_back(&trace);
  }
  return batches;
}

torch::Tensor stacked_tokens(const Batch& batch) {
  std::vector<torch::Tensor> tokens;
  for (const RecordedTrace* trace : batch) tokens.push_back(trace->tokens);
  return torch::stack(tokens);
}

/// [N, L, hidden] of the full cache, or undefined where nothing is compared with it.
torch::Tensor reference_states(const Transformer& model, const Batch& batch, Detail detail) {
  if (detail == Detail::kLosses) return {};
  std::vector<torch::Tensor> states;
  for (const RecordedTrace* trace : batch) states.push_back(full_states(model, trace->tokens));
  return torch::stack(states);
}

/// Row `row` of a pass with the full cache's value where no eviction can reach.
torch::Tensor own_where_evicted(const torch::Tensor& values, std::int64_t row, std::int64_t first_scored,
                                const torch::Tensor& elsewhere) {
  return torch::where(torch::arange(elsewhere.size(0)) >= first_scored, values[row].to(torch::kCPU),
                      elsewhere);
}

/// Appends what the policies of a side did on a batch of traces.
void run_batch(const Transformer& model, const Batch& batch, const Side& side, const torch::Tensor& states,
               std::vector<PolicyRun>& runs, const std::function<void(std::int64_t)>& on_tokens) {
  const auto count = static_cast<std::int64_t>(side.policies.size()),
             traces = static_cast<std::int64_t>(batch.size());
  if (count == 0) return;
  std::vector<EvictionSelector> selectors;
  for (const Policy& policy : side.policies) selectors.push_back(policy.make(batch));
  EvictionSelector select = side_by_side(std::move(selectors));
  std::optional<EvictionWatcher> watcher;
  if (states.defined()) {
    watcher.emplace(batch, side.size, count, model.shape().layers, model.shape().kv_heads);
    select = watcher->watching(std::move(select));
  }
  const EvictedPass pass =
      evicted_pass(model, stacked_tokens(batch), side.size, count, select, states, on_tokens);
  const std::int64_t first = side.size.first_scored();
  const std::vector<KeptAttention> kept = watcher ? watcher->results() : std::vector<KeptAttention>{};
  const torch::Tensor held = watcher ? watcher->held() : torch::Tensor();  // [P, N, L]
  for (std::int64_t p = 0; p < count; ++p) {
    PolicyRun& run = runs[static_cast<std::size_t>(p)];
    for (std::int64_t n = 0; n < traces; ++n) {
      const RecordedTrace& trace = *batch[static_cast<std::size_t>(n)];
      const std::int64_t row = p * traces + n;
      run.loss.push_back(own_where_evicted(pass.losses, row, first, trace.loss));
      if (!torch::isfinite(run.loss.back()).all().item<bool>()) {
        throw Error(ErrorKind::kNumeric,
                    concat("trace ", trace.id, ": loss under policy '", run.name, "' is not finite"));
      }
      if (!states.defined()) continue;
      run.divergence.push_back(own_where_evicted(pass.divergence, row, first, torch::zeros_like(trace.loss)));
      run.agreement.push_back(own_where_evicted(pass.agreement, row, first, torch::ones_like(trace.loss)));
      if (!run.held.defined()) run.held = held[p][n];
    }
    if (watcher) run.kept.add(kept[static_cast<std::size_t>(p)]);
  }
}

}  // namespace

std::int64_t run_tokens(const std::vector<RecordedTrace>& traces, const std::vector<Side>& sides) {
  std::int64_t tokens = 0;
  for (const Side& side : sides) {
    if (side.policies.empty()) continue;
    for (const RecordedTrace& trace : traces) {
      const std::int64_t prefix = std::min(trace.length(), side.size.budget + side.size.window);
      tokens += prefix + (trace.length() - prefix) * static_cast<std::int64_t>(side.policies.size());
    }
  }
  return tokens;
}

std::vector<std::vector<PolicyRun>> run_policies(const Transformer& model,
                                                 const std::vector<RecordedTrace>& traces,
                                                 const std::vector<Side>& sides, Detail detail,
                                                 std::int64_t rows_per_pass,
                                                 const std::function<void(std::int64_t)>& on_tokens) {
  std::vector<std::vector<PolicyRun>> runs;
  std::size_t most = 1;
  for (const Side& side : sides) {
    most = std::max(most, side.policies.size());
    runs.emplace_back();
    for (const Policy& policy : side.policies) runs.back().emplace_back().name = policy.name;
  }
  const std::int64_t traces_per_pass =
      std::max<std::int64_t>(1, rows_per_pass / static_cast<std::int64_t>(most));
  for (const Batch& batch : equal_length_batches(traces, traces_per_pass)) {
    const torch::Tensor states = reference_states(model, batch, detail);
    for (std::size_t s = 0; s < sides.size(); ++s)
      run_batch(model, batch, sides[s], states, runs[s], on_tokens);
  }
  return runs;
}

std::vector<PolicyResult> evaluate_policies(const Transformer& model,
                                            const std::vector<RecordedTrace>& traces,
                                            const std::vector<Policy>& policies,
                                            const EvaluationOptions& options) {
  const ScoringOptions scoring{.first_scored = first_scored_token(traces, options.size),
                               .score = options.score,
                               .low_entropy_share = options.low_entropy_share};
  const auto runs =
      run_policies(model, traces, {Side{options.size, policies}}, Detail::kLosses, options.rows_per_pass);
  std::vector<PolicyResult> results = {score_run(full_run(traces), traces, scoring)};
  for (const PolicyRun& run : runs[0]) results.push_back(score_run(run, traces, scoring));
  return results;
}

}  // namespace foresight
