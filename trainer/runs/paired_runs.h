// The policies of several runs at one budget, with paired differences where runs scored the same tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer/base/paired_bootstrap.h"
#include "trainer/runs/run_facts.h"

namespace foresight {

/// Whether the rises of two evaluations can be paired trace by trace.
struct Pairing {
  std::string obstacle;           ///< why not, as a sentence without its end; empty where they can
  bool same_low_entropy = false;  ///< the low-entropy tokens are the same too
};

/// `first` and `second` are results of the evaluations `one` and `other`. They can be paired when the
/// held-out traces are the same (by digest), evaluation.score is the same, and every trace has as many scored
/// tokens in both: what is scored begins at one position, so that equal numbers mean equal tokens.
Pairing pairing_of(const EvaluationData& one, const BudgetResult& first, const EvaluationData& other,
                   const BudgetResult& second);

/// A policy's rise minus another's on the same tokens, with 95 % intervals. A single trace has none.
struct PairedRise {
  Interval all;
  std::optional<Interval> low_entropy;
};

/// `policy` minus `baseline`; nothing where one of both lacks its rises by trace or has a single trace.
/// `same_low_entropy` as pairing_of() found it.
std::optional<PairedRise> paired_rise(const PolicyMeasures& policy, const PolicyMeasures& baseline,
                                      bool same_low_entropy);

/// What some runs measured of a policy.
struct PolicyOfRuns {
  std::string policy;
  std::vector<std::size_t> runs;         ///< that measured exactly this on the same tokens
  PolicyMeasures measures;               ///< of the first of them
  std::optional<std::size_t> compared;   ///< the first run that measured the policy on the same tokens
  std::optional<PairedRise> difference;  ///< to that run's rise
};

/// All policies at one budget and window.
struct BudgetOfRuns {
  std::int64_t budget = 0, window = 0;
  bool main = false;                   ///< some run's own budget, not only one of its sweep
  std::vector<std::size_t> runs;       ///< that were evaluated there
  std::vector<PolicyOfRuns> policies;  ///< by policy in the order of the runs, then by run
  /// Run -> why it cannot be paired with the first of `runs`.
  std::vector<std::pair<std::size_t, std::string>> obstacles;
  bool different_models = false;
};

/// One entry for every budget that is a run's own or that several runs evaluated, own ones first. `runs` are
/// numbered from 0.
std::vector<BudgetOfRuns> budgets_of_runs(const std::vector<RunFacts>& runs);

/// The main result and those of the sweep at other budgets or windows.
std::vector<const BudgetResult*> budgets_of(const EvaluationData& evaluation);

}  // namespace foresight
