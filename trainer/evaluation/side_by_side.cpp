#include "trainer/evaluation/side_by_side.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <span>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

using Batch = std::vector<const RecordedTrace*>;

/// Row `row` of a pass with the full cache's value where no eviction can reach.
torch::Tensor own_where_evicted(const torch::Tensor& values, std::int64_t row, std::int64_t first_scored,
                                const torch::Tensor& elsewhere) {
  return torch::where(torch::arange(elsewhere.size(0)) >= first_scored, values[row].to(torch::kCPU),
                      elsewhere);
}

/// The policies of one set on a batch of traces, in the middle of their run.
struct PolicySetRun {
  const PolicySet* set;
  std::optional<EvictionWatcher> watcher;
  std::optional<EvictedRun> run;
  std::optional<EvictedPass> pass;
};

std::unique_ptr<PolicySetRun> start_set(const Transformer& model, const Batch& batch, const PolicySet& set,
                                        Detail detail) {
  auto started = std::make_unique<PolicySetRun>();
  started->set = &set;
  const auto count = static_cast<std::int64_t>(set.policies.size());
  std::vector<EvictionSelector> selectors;
  for (const Policy& policy : set.policies) selectors.push_back(policy.make(batch));
  EvictionSelector select = side_by_side(std::move(selectors));
  if (detail == Detail::kAll) {
    started->watcher.emplace(batch, set.size, count, model.shape().evicting_layers(), model.shape().kv_heads);
    select = started->watcher->watching(std::move(select));
  }
  started->run.emplace(model, stacked_tokens(batch), set.size, count, std::move(select));
  started->pass.emplace(started->run->rows().rows(), started->run->length(), detail == Detail::kAll);
  return started;
}

/// Appends the results of a set's policies on a batch of traces.
void store_set(const Batch& batch, const PolicySetRun& done, std::span<PolicyRun> runs) {
  done.run->require_sound();
  const EvictedPass& pass = *done.pass;
  const RowLayout& rows = done.run->rows();
  const std::int64_t first = done.set->size.first_scored();
  const auto& watcher = done.watcher;
  const std::vector<KeptAttention> kept = watcher ? watcher->results() : std::vector<KeptAttention>{};
  const torch::Tensor held = watcher ? watcher->held() : torch::Tensor();  // [P, N, L]
  for (std::int64_t p = 0; p < rows.copies; ++p) {
    PolicyRun& run = runs[static_cast<std::size_t>(p)];
    for (std::int64_t n = 0; n < rows.traces; ++n) {
      const RecordedTrace& trace = *batch[static_cast<std::size_t>(n)];
      const std::int64_t row = rows.row(p, n);
      run.loss.push_back(own_where_evicted(pass.losses, row, first, trace.loss));
      if (!torch::isfinite(run.loss.back()).all().item<bool>()) {
        throw Error(ErrorKind::kNumeric,
                    concat("trace ", trace.id, ": loss under policy '", run.name, "' is not finite"));
      }
      if (!watcher) continue;
      run.divergence.push_back(own_where_evicted(pass.divergence, row, first, torch::zeros_like(trace.loss)));
      run.agreement.push_back(own_where_evicted(pass.agreement, row, first, torch::ones_like(trace.loss)));
      if (!run.held.defined()) run.held = held[p][n];
    }
    if (watcher) run.kept.add(kept[static_cast<std::size_t>(p)]);
  }
}

/// Runs all sets on one batch of traces and appends their results. The sets advance together, the one
/// furthest behind first, so that they share one pass of the full cache.
void run_batch(const Transformer& model, const Batch& batch, const std::vector<PolicySet>& sets,
               Detail detail, std::span<PolicyRun> runs, const std::function<void(std::int64_t)>& on_tokens) {
  std::vector<std::unique_ptr<PolicySetRun>> started;
  for (const PolicySet& set : sets) {
    if (!set.policies.empty()) started.push_back(start_set(model, batch, set, detail));
  }
  if (started.empty()) return;
  std::optional<FullRun> full;
  if (detail == Detail::kAll) full.emplace(model, stacked_tokens(batch).tokens, sets.front().size.window);
  EvictedWindow window;
  while (true) {
    PolicySetRun* behind = nullptr;
    for (const auto& one : started) {
      if (one->run->finished()) continue;
      if (behind == nullptr || one->run->position() < behind->run->position()) behind = one.get();
    }
    if (behind == nullptr) break;
    const std::int64_t tokens = behind->run->tokens_of_next();
    behind->run->next(window, full ? &*full : nullptr);
    behind->pass->add(window);
    on_tokens(tokens);
  }
  for (const auto& one : started) {
    const std::size_t count = one->set->policies.size();
    store_set(batch, *one, runs.first(count));
    runs = runs.subspan(count);
  }
}

/// The policies of all sets one after the other, with nothing run yet.
std::vector<PolicyRun> named_runs(const std::vector<PolicySet>& sets) {
  std::vector<PolicyRun> runs;
  for (const PolicySet& set : sets) {
    for (const Policy& policy : set.policies) runs.emplace_back().name = policy.name;
  }
  return runs;
}

/// The results of one batch, to send them to the other ranks.
std::string pack_runs(const std::vector<PolicyRun>& runs) {
  std::vector<torch::Tensor> tensors;
  for (const PolicyRun& run : runs) {
    tensors.push_back(
        torch::tensor({static_cast<double>(run.loss.size()), static_cast<double>(run.divergence.size()),
                       run.kept.golden_overlap, static_cast<double>(run.kept.evictions)},
                      torch::kFloat64));
    for (const auto* values : {&run.loss, &run.divergence, &run.agreement})
      tensors.insert(tensors.end(), values->begin(), values->end());
    tensors.push_back(run.kept.mass);
    for (torch::Tensor& tensor : run.kept.entries.pack()) tensors.push_back(std::move(tensor));
    tensors.push_back(run.held);
  }
  return pack_tensors(tensors);
}

/// Appends the results of one batch that pack_runs() packed.
void append_runs(std::vector<PolicyRun>& runs, const std::string& packed) {
  const std::vector<torch::Tensor> tensors = unpack_tensors(packed);
  auto next = tensors.begin();
  for (PolicyRun& run : runs) {
    const torch::Tensor head = *next++;
    const auto number = [&](std::int64_t i) { return head[i].item<double>(); };
    const auto losses = static_cast<std::ptrdiff_t>(number(0)),
               details = static_cast<std::ptrdiff_t>(number(1));
    const auto append = [&](std::vector<torch::Tensor>& values, std::ptrdiff_t count) {
      values.insert(values.end(), next, next + count);
      next += count;
    };
    append(run.loss, losses);
    append(run.divergence, details);
    append(run.agreement, details);
    KeptAttention kept{.mass = *next++,
                       .golden_overlap = number(2),
                       .evictions = static_cast<std::int64_t>(number(3)),
                       .entries = KeptEntries::unpack(&*next)};
    next += KeptEntries::kPackedTensors;
    if (kept.mass.defined()) run.kept.add(kept);
    if (!run.held.defined()) run.held = *next;
    ++next;
  }
}

/// Traces that go through the model together.
std::vector<Batch> batches_of(const std::vector<RecordedTrace>& traces, const std::vector<PolicySet>& sets,
                              std::int64_t rows_per_pass) {
  std::size_t most = 1;
  for (const PolicySet& set : sets) most = std::max(most, set.policies.size());
  const auto together = std::max<std::size_t>(1, static_cast<std::size_t>(rows_per_pass) / most);
  std::vector<Batch> batches;
  for (const std::vector<std::size_t>& numbers : equal_length_batches(traces, together)) {
    Batch& batch = batches.emplace_back();
    for (const std::size_t i : numbers) batch.push_back(&traces[i]);
  }
  return batches;
}

std::vector<std::int64_t> costs_of(const std::vector<Batch>& batches) {
  std::vector<std::int64_t> costs;
  for (const Batch& batch : batches)
    costs.push_back(static_cast<std::int64_t>(batch.size()) * batch.front()->length());
  return costs;
}

}  // namespace

std::int64_t run_tokens(const std::vector<RecordedTrace>& traces, const std::vector<PolicySet>& sets,
                        std::int64_t rows_per_pass, const World& world) {
  const std::vector<Batch> batches = batches_of(traces, sets, rows_per_pass);
  const std::vector<int> rank_of = deal(costs_of(batches), world.size());
  std::int64_t tokens = 0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    if (rank_of[b] != world.rank()) continue;
    for (const PolicySet& set : sets) {
      if (set.policies.empty()) continue;
      for (const RecordedTrace* trace : batches[b]) {
        tokens +=
            evicted_run_tokens(trace->length(), set.size, static_cast<std::int64_t>(set.policies.size()));
      }
    }
  }
  return tokens;
}

std::vector<std::vector<PolicyRun>> run_policies(const Transformer& model,
                                                 const std::vector<RecordedTrace>& traces,
                                                 const std::vector<PolicySet>& sets, Detail detail,
                                                 std::int64_t rows_per_pass,
                                                 const std::function<void(std::int64_t)>& on_tokens,
                                                 World& world) {
  const std::vector<Batch> batches = batches_of(traces, sets, rows_per_pass);
  const auto report = [&](std::int64_t tokens) {
    world.tick();
    if (on_tokens) on_tokens(tokens);
  };
  const auto work = [&](std::size_t b) {
    std::vector<PolicyRun> part = named_runs(sets);
    run_batch(model, batches[b], sets, detail, part, report);
    return pack_runs(part);
  };
  std::vector<PolicyRun> runs = named_runs(sets);
  for (const std::string& part : map_units(world, costs_of(batches), work, "runs of policies"))
    append_runs(runs, part);
  std::vector<std::vector<PolicyRun>> by_set;
  auto next = runs.begin();
  for (const PolicySet& set : sets) {
    const auto end = next + static_cast<std::ptrdiff_t>(set.policies.size());
    by_set.emplace_back(std::make_move_iterator(next), std::make_move_iterator(end));
    next = end;
  }
  return by_set;
}

std::vector<PolicyResult> evaluate_policies(const Transformer& model,
                                            const std::vector<RecordedTrace>& traces,
                                            const std::vector<Policy>& policies,
                                            const EvaluationOptions& options, World& world) {
  const ScoringOptions scoring{.first_scored = first_scored_token(traces, options.size),
                               .score = options.score,
                               .low_entropy_share = options.low_entropy_share,
                               .window = options.size.window};
  const auto runs = run_policies(model, traces, {PolicySet{options.size, policies}}, Detail::kLosses,
                                 options.rows_per_pass, {}, world);
  std::vector<PolicyResult> results = {score_run(full_run(traces), traces, scoring)};
  for (const PolicyRun& run : runs[0]) results.push_back(score_run(run, traces, scoring));
  return results;
}

}  // namespace foresight
