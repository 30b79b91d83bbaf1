#include "trainer/runs/paired_runs.h"

#include <algorithm>
#include <cmath>

#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::uint64_t kSeed = 1;  // of the intervals, which are the same at every call

/// A run's result at the budget of a table.
struct Entry {
  std::size_t run = 0;
  const EvaluationData* evaluation = nullptr;
  const BudgetResult* result = nullptr;
};

const TraceRises* rises_of(const BudgetResult& result) {
  for (const PolicyMeasures& policy : result.policies) {
    if (policy.by_trace) return &*policy.by_trace;
  }
  return nullptr;
}

const PolicyMeasures* find_policy(const BudgetResult& result, const std::string& name) {
  const auto found = std::find_if(result.policies.begin(), result.policies.end(),
                                  [&](const PolicyMeasures& policy) { return policy.name == name; });
  return found == result.policies.end() ? nullptr : &*found;
}

bool has_low_entropy(const PolicyMeasures& policy) {
  return policy.low_entropy_by_trace.has_value();
}

/// The interval of the difference; nothing where the traces are not the same, are fewer than two, or have no
/// scored token or a rise that is no number.
std::optional<Interval> paired_interval(const std::optional<TraceRises>& policy,
                                        const std::optional<TraceRises>& baseline) {
  if (!policy || !baseline || policy->tokens != baseline->tokens || policy->tokens.size() < 2)
    return std::nullopt;
  std::vector<double> sums;
  std::int64_t total = 0;
  for (std::size_t trace = 0; trace < policy->tokens.size(); ++trace) {
    const double difference = policy->rise[trace] - baseline->rise[trace];
    if (!std::isfinite(difference)) return std::nullopt;
    sums.push_back(difference * static_cast<double>(policy->tokens[trace]));
    total += policy->tokens[trace];
  }
  if (total == 0) return std::nullopt;
  return paired_bootstrap(sums, policy->tokens, kSeed);
}

/// True when both runs found the same: rules on the same tokens, for example.
bool is_same(const PolicyMeasures& one, const PolicyMeasures& other) {
  return one.by_trace && other.by_trace && one.by_trace->rise == other.by_trace->rise &&
         one.by_trace->tokens == other.by_trace->tokens && one.scalar("loss") == other.scalar("loss");
}

/// Adds what the run of `entries[number]` measured of a policy to `rows`, the rows of that policy.
void add_measures(const std::vector<Entry>& entries, std::size_t number, const PolicyMeasures& measures,
                  std::vector<PolicyOfRuns>& rows) {
  const Entry& entry = entries[number];
  PolicyOfRuns row{measures.name, {entry.run}, measures, {}, {}};
  for (std::size_t before = 0; before < number; ++before) {
    const PolicyMeasures* const baseline = find_policy(*entries[before].result, measures.name);
    if (baseline == nullptr) continue;
    const Pairing pairing =
        pairing_of(*entries[before].evaluation, *entries[before].result, *entry.evaluation, *entry.result);
    if (!pairing.obstacle.empty()) continue;
    if (is_same(*baseline, measures)) {
      for (PolicyOfRuns& known : rows) {
        if (std::find(known.runs.begin(), known.runs.end(), entries[before].run) == known.runs.end())
          continue;
        known.runs.push_back(entry.run);
        return;
      }
    }
    if (row.compared) continue;
    row.compared = entries[before].run;
    row.difference = paired_rise(measures, *baseline, pairing.same_low_entropy);
  }
  rows.push_back(std::move(row));
}

BudgetOfRuns budget_of_runs(const std::vector<Entry>& entries) {
  BudgetOfRuns budget{.budget = entries.front().result->budget,
                      .window = entries.front().result->window,
                      .main = false,
                      .runs = {},
                      .policies = {},
                      .obstacles = {}};
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    budget.runs.push_back(entry.run);
    budget.main |= entry.result == &entry.evaluation->main;
    budget.different_models |=
        entry.evaluation->inputs.model_fingerprint != entries.front().evaluation->inputs.model_fingerprint;
    const Pairing pairing =
        pairing_of(*entries.front().evaluation, *entries.front().result, *entry.evaluation, *entry.result);
    if (&entry != &entries.front() && !pairing.obstacle.empty())
      budget.obstacles.emplace_back(entry.run, pairing.obstacle);
    for (const PolicyMeasures& policy : entry.result->policies) {
      if (std::find(names.begin(), names.end(), policy.name) == names.end()) names.push_back(policy.name);
    }
  }
  for (const std::string& name : names) {
    std::vector<PolicyOfRuns> rows;
    for (std::size_t number = 0; number < entries.size(); ++number) {
      const PolicyMeasures* const measures = find_policy(*entries[number].result, name);
      if (measures != nullptr) add_measures(entries, number, *measures, rows);
    }
    std::move(rows.begin(), rows.end(), std::back_inserter(budget.policies));
  }
  return budget;
}

}  // namespace

Pairing pairing_of(const EvaluationData& one, const BudgetResult& first, const EvaluationData& other,
                   const BudgetResult& second) {
  const ScoredInputs &here = one.inputs, &there = other.inputs;
  if (here.traces_sha256.empty() || there.traces_sha256.empty())
    return {"an evaluation.json does not say which held-out traces it is of"};
  if (here.traces_sha256 != there.traces_sha256) return {"the held-out traces are different"};
  if (here.score != there.score)
    return {
        concat("evaluation.score is different (", one_line(here.score), " and ", one_line(there.score), ")")};
  const TraceRises *const known = rises_of(first), *const found = rises_of(second);
  if (known == nullptr || found == nullptr) {
    return {
        "an evaluation.json does not say how many tokens of each trace it scored; `foresight evaluate` of "
        "this "
        "version writes that"};
  }
  if (known->tokens != found->tokens)
    return {"the scored tokens are different: scoring begins behind the largest budget and its window"};
  const auto policy = std::find_if(first.policies.begin(), first.policies.end(), has_low_entropy);
  const auto match = std::find_if(second.policies.begin(), second.policies.end(), has_low_entropy);
  return {.obstacle = "",
          .same_low_entropy = here.recorded_sha256 == there.recorded_sha256 &&
                              here.low_entropy_share == there.low_entropy_share &&
                              policy != first.policies.end() && match != second.policies.end() &&
                              policy->low_entropy_by_trace->tokens == match->low_entropy_by_trace->tokens};
}

std::optional<PairedRise> paired_rise(const PolicyMeasures& policy, const PolicyMeasures& baseline,
                                      bool same_low_entropy) {
  const auto all = paired_interval(policy.by_trace, baseline.by_trace);
  if (!all) return std::nullopt;
  PairedRise difference{.all = *all, .low_entropy = {}};
  if (same_low_entropy)
    difference.low_entropy = paired_interval(policy.low_entropy_by_trace, baseline.low_entropy_by_trace);
  return difference;
}

std::vector<const BudgetResult*> budgets_of(const EvaluationData& evaluation) {
  std::vector<const BudgetResult*> all = {&evaluation.main};
  for (const BudgetResult& result : evaluation.sweep) {
    const bool is_main = result.budget == evaluation.main.budget && result.window == evaluation.main.window;
    if (!is_main) all.push_back(&result);
  }
  return all;
}

std::vector<BudgetOfRuns> budgets_of_runs(const std::vector<RunFacts>& runs) {
  std::vector<std::vector<Entry>> groups;  // of one budget and window each
  for (std::size_t run = 0; run < runs.size(); ++run) {
    if (!runs[run].evaluation) continue;
    for (const BudgetResult* result : budgets_of(*runs[run].evaluation)) {
      auto group = std::find_if(groups.begin(), groups.end(), [&](const std::vector<Entry>& entries) {
        return entries.front().result->budget == result->budget &&
               entries.front().result->window == result->window;
      });
      if (group == groups.end()) group = groups.emplace(groups.end());
      group->push_back({run, &*runs[run].evaluation, result});
    }
  }
  std::vector<BudgetOfRuns> budgets;
  for (const std::vector<Entry>& entries : groups) {
    BudgetOfRuns budget = budget_of_runs(entries);
    if (budget.main || budget.runs.size() > 1) budgets.push_back(std::move(budget));
  }
  std::stable_partition(budgets.begin(), budgets.end(),
                        [](const BudgetOfRuns& budget) { return budget.main; });
  return budgets;
}

}  // namespace foresight
