// `foresight compare`: what differs between two runs.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/base/paired_bootstrap.h"
#include "trainer/runs/run_facts.h"

namespace foresight {

/// A number of both runs; NaN where a run has none.
struct NumberPair {
  double first = std::numeric_limits<double>::quiet_NaN(), second = first;
  double difference() const { return second - first; }
};

/// A measure of a training stage in the last row of both runs.
struct MeasurePair {
  std::string name;
  NumberPair value;
};

/// A key whose value differs, both values as YAML.
struct KeyPair {
  std::string key, first, second;
};

/// A policy in both evaluations; one that a run did not evaluate has NaN there.
struct PolicyPair {
  std::string policy;
  NumberPair loss, loss_rise;
  std::optional<Interval> interval;  ///< of the difference of loss_rise, where both scored the same tokens
};

/// Both evaluations at one budget and window; or at each run's own where they have none in common.
struct BudgetPair {
  std::int64_t first_budget = 0, first_window = 0, second_budget = 0, second_window = 0;
  std::string obstacle;  ///< why there are no intervals, as pairing_of() says it; empty where there may be
  std::vector<PolicyPair> policies;
};

/// What two runs have side by side.
struct RunComparison {
  std::string first, second;                   ///< paths
  std::optional<std::vector<KeyPair>> config;  ///< keys that differ; nothing where one cannot be read
  std::vector<MeasurePair> supervised, grpo;   ///< of the last rows, "step" first; empty where none has rows
  bool first_evaluated = false, second_evaluated = false;
  std::vector<BudgetPair> evaluation;  ///< empty where a run has none
  std::optional<bool> same_traces;  ///< evaluated on the same held-out traces; nothing where it is not known
  std::vector<std::string> faults;  ///< of both
};

/// Compares two runs as read_run() gave them.
RunComparison compare_runs(const RunFacts& first, const RunFacts& second);

/// For a terminal; ends with a line end.
std::string comparison_text(const RunComparison& comparison);

/// As JSON (docs/runs.md has its members). What a run does not have is null.
nlohmann::ordered_json comparison_json(const RunComparison& comparison);

}  // namespace foresight
