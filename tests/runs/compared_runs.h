// Runs with evaluations that can be paired, written by hand.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runs/run_folders.h"

namespace foresight {

/// What an evaluation says of a policy on two traces with 10 and 30 scored tokens, 8 and 24 of them
/// low-entropy.
inline nlohmann::json policy_of_two(double first_rise, double second_rise) {
  const double rise = (10 * first_rise + 30 * second_rise) / 40;
  return {{"loss", 1.5 + rise},
          {"loss_rise", rise},
          {"tokens", 40},
          {"traces", 2},
          {"trace_loss_rise", {first_rise, second_rise}},
          {"trace_low_entropy_loss_rise", {first_rise / 2, second_rise / 2}},
          {"trace_tokens", {10, 30}},
          {"trace_low_entropy_tokens", {8, 24}}};
}

/// An evaluation at budget 32, window 16 with full KV, H2O and a scorer of these rises.
inline nlohmann::json evaluation_of_two(double first_rise, double second_rise) {
  return {{"budget", 32},
          {"window", 16},
          {"inputs",
           {{"traces_sha256", "abc"},
            {"recorded_sha256", "def"},
            {"model_fingerprint", "ghi"},
            {"score", "all"},
            {"low_entropy_share", 0.8}}},
          {"policies",
           {{"full", policy_of_two(0, 0)},
            {"h2o", policy_of_two(0.5, 0.25)},
            {"supervised", policy_of_two(first_rise, second_rise)}}}};
}

/// evaluation_of_two() with a sweep over budgets 16, 32 and 64, at which the scorer's rise is `scorer_rises`.
inline nlohmann::json swept_evaluation(const std::vector<double>& scorer_rises) {
  nlohmann::json evaluation = evaluation_of_two(scorer_rises.at(1), scorer_rises.at(1));
  for (std::size_t i = 0; i < 3; ++i) {
    const double rule_rise = 0.5 / static_cast<double>(i + 1);
    evaluation["sweep"].push_back({{"budget", 16 << i},
                                   {"window", 16},
                                   {"first_scored", 81},
                                   {"policies",
                                    {{"full", policy_of_two(0, 0)},
                                     {"h2o", policy_of_two(rule_rise, rule_rise)},
                                     {"snapkv", policy_of_two(2 * rule_rise, rule_rise)},
                                     {"supervised", policy_of_two(scorer_rises[i], scorer_rises[i])}}}});
  }
  return evaluation;
}

/// Some runs with their evaluations; each has the path of its name.
class ComparedRuns {
 public:
  /// Adds a run; one without evaluation where `evaluation` is null.
  void add(const std::string& name, const nlohmann::json& evaluation, const Config& config = small_config()) {
    folders.open(name, config);
    if (!evaluation.is_null()) folders.write(name + "/evaluation.json", evaluation.dump());
    names.push_back(name);
  }
  std::vector<RunFacts> read() const {
    std::vector<RunFacts> runs;
    for (const std::string& name : names) runs.push_back(read_run(folders / name));
    return runs;
  }
  RunFolders folders;
  std::vector<std::string> names;
};

}  // namespace foresight
