#include "trainer/runs/compare_runs.h"

#include <algorithm>
#include <set>

#include "trainer/base/text.h"
#include "trainer/config/declare.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/runs/json_values.h"
#include "trainer/runs/paired_runs.h"
#include "trainer/runs/text_table.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

/// The numbers of a stage's last row, "step" among them; none where the stage has no rows.
Scalars last_row(const RunFacts& run, Stage stage) {
  for (const StageFacts& facts : run.stages) {
    if (facts.stage == stage && !facts.metrics.empty()) return facts.metrics.back().scalars;
  }
  return {};
}

double value_in(const Scalars& scalars, const std::string& name) {
  const auto found = scalars.find(name);
  return found == scalars.end() ? NAN : found->second;
}

std::vector<MeasurePair> measures_of(const RunFacts& first, const RunFacts& second, Stage stage) {
  const Scalars one = last_row(first, stage), other = last_row(second, stage);
  std::set<std::string> names;
  for (const Scalars* scalars : {&one, &other}) {
    for (const auto& [name, value] : *scalars) names.insert(name);
  }
  std::vector<MeasurePair> pairs;
  for (const std::string& name : names) pairs.push_back({name, {value_in(one, name), value_in(other, name)}});
  std::stable_partition(pairs.begin(), pairs.end(),
                        [](const MeasurePair& pair) { return pair.name == "step"; });
  return pairs;
}

std::vector<KeyPair> keys_of(const Config& first, const Config& second) {
  std::vector<KeyPair> pairs;
  for (const KeyDifference& difference : config_differences(first, second))
    pairs.push_back({difference.key->dotted(), difference.before, difference.after});
  return pairs;
}

const PolicyMeasures* policy_named(const BudgetResult& result, const std::string& name) {
  const auto found = std::find_if(result.policies.begin(), result.policies.end(),
                                  [&](const PolicyMeasures& policy) { return policy.name == name; });
  return found == result.policies.end() ? nullptr : &*found;
}

/// The first run's policies in their order, then those of the second alone.
BudgetPair budget_pair(const EvaluationData& one, const BudgetResult& first, const EvaluationData& other,
                       const BudgetResult& second) {
  const Pairing pairing = pairing_of(one, first, other, second);
  BudgetPair pair{.first_budget = first.budget,
                  .first_window = first.window,
                  .second_budget = second.budget,
                  .second_window = second.window,
                  .obstacle = pairing.obstacle,
                  .policies = {}};
  std::vector<std::string> names;
  for (const BudgetResult* result : {&first, &second}) {
    for (const PolicyMeasures& policy : result->policies) {
      if (std::find(names.begin(), names.end(), policy.name) == names.end()) names.push_back(policy.name);
    }
  }
  for (const std::string& name : names) {
    const PolicyMeasures *here = policy_named(first, name), *there = policy_named(second, name);
    const auto both = [&](const char* measure) {
      return NumberPair{here == nullptr ? NAN : here->scalar(measure),
                        there == nullptr ? NAN : there->scalar(measure)};
    };
    pair.policies.push_back({name, both("loss"), both("loss_rise"), {}});
    if (here == nullptr || there == nullptr || !pairing.obstacle.empty()) continue;
    if (const auto paired = paired_rise(*there, *here, pairing.same_low_entropy))
      pair.policies.back().interval = paired->all;
  }
  return pair;
}

/// The budgets that both runs evaluated; the main ones, where there are none.
std::vector<BudgetPair> evaluations_of(const EvaluationData& first, const EvaluationData& second) {
  std::vector<BudgetPair> pairs;
  for (const BudgetResult* one : budgets_of(first)) {
    for (const BudgetResult* other : budgets_of(second)) {
      if (one->budget == other->budget && one->window == other->window)
        pairs.push_back(budget_pair(first, *one, second, *other));
    }
  }
  if (pairs.empty()) pairs.push_back(budget_pair(first, first.main, second, second.main));
  return pairs;
}

const std::vector<TextColumn>& measure_columns() {
  static const std::vector<TextColumn> kColumns = {{"measure"},
                                                   {"first", TextAlignment::kRight},
                                                   {"second", TextAlignment::kRight},
                                                   {"difference", TextAlignment::kRight}};
  return kColumns;
}

std::string config_section(const RunComparison& comparison) {
  if (!comparison.config) return "\nconfig: cannot be compared, see below\n";
  if (comparison.config->empty()) return "\nconfig: no difference\n";
  std::vector<std::vector<std::string>> rows;
  for (const KeyPair& pair : *comparison.config)
    rows.push_back({pair.key, one_line(pair.first), one_line(pair.second)});
  return "\nconfig: keys that differ\n" + text_table({{"key"}, {"first"}, {"second"}}, rows);
}

std::string measures_section(Stage stage, const std::vector<MeasurePair>& measures) {
  if (measures.empty()) return "";
  std::vector<std::vector<std::string>> rows;
  for (const MeasurePair& measure : measures) {
    rows.push_back({one_line(measure.name), number_text(measure.value.first),
                    number_text(measure.value.second), difference_text(measure.value.difference())});
  }
  return concat("\n", to_string(stage), ": last rows\n", text_table(measure_columns(), rows));
}

/// "+0.0010 to +0.0032"; "-" without an interval.
std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? concat(loss_text(interval->low, true), " to ", loss_text(interval->high, true)) : "-";
}

std::string budget_section(const BudgetPair& pair) {
  const bool common = pair.first_budget == pair.second_budget && pair.first_window == pair.second_window;
  std::string heading = concat("\nevaluation: budget ", pair.first_budget, ", window ", pair.first_window);
  if (!common) {
    heading += concat(" (first) and budget ", pair.second_budget, ", window ", pair.second_window,
                      " (second): no budget in common");
  }
  std::vector<TextColumn> columns = {{"policy"}};
  for (const char* name : {"loss first", "second", "difference", "loss rise first", "second", "difference"})
    columns.push_back({name, TextAlignment::kRight});
  std::vector<std::string> policies;
  for (const PolicyPair& policy : pair.policies) policies.push_back(policy.policy);
  const PolicyStyles styles(policies);
  const bool paired = std::any_of(pair.policies.begin(), pair.policies.end(),
                                  [](const auto& policy) { return policy.interval; });
  if (paired) columns.push_back({"95 % interval", TextAlignment::kRight});
  std::vector<std::vector<std::string>> rows;
  for (const PolicyPair& policy : pair.policies) {
    rows.push_back({one_line(styles.of(policy.policy).name), loss_text(policy.loss.first, false),
                    loss_text(policy.loss.second, false), loss_text(policy.loss.difference(), true),
                    loss_text(policy.loss_rise.first, true), loss_text(policy.loss_rise.second, true),
                    loss_text(policy.loss_rise.difference(), true)});
    if (paired) rows.back().push_back(interval_text(policy.interval));
  }
  const std::string why = pair.obstacle.empty() ? "" : concat("no paired intervals: ", pair.obstacle, "\n");
  return heading + "\n" + text_table(columns, rows) + why;
}

Json pair_json(const NumberPair& pair) {
  return {{"first", number_or_null(pair.first)},
          {"second", number_or_null(pair.second)},
          {"difference", number_or_null(pair.difference())}};
}

Json measures_json(const std::vector<MeasurePair>& measures) {
  Json json = Json::object();
  for (const MeasurePair& measure : measures) json[measure.name] = pair_json(measure.value);
  return json;
}

Json budget_json(const BudgetPair& pair) {
  Json policies = Json::object();
  for (const PolicyPair& policy : pair.policies) {
    Json rise = pair_json(policy.loss_rise);
    rise["low"] = policy.interval ? Json(policy.interval->low) : Json();
    rise["high"] = policy.interval ? Json(policy.interval->high) : Json();
    policies[json_text(policy.policy)] = {{"loss", pair_json(policy.loss)}, {"loss_rise", std::move(rise)}};
  }
  return {{"first", {{"budget", pair.first_budget}, {"window", pair.first_window}}},
          {"second", {{"budget", pair.second_budget}, {"window", pair.second_window}}},
          {"policies", policies}};
}

}  // namespace

RunComparison compare_runs(const RunFacts& first, const RunFacts& second) {
  RunComparison comparison;
  comparison.first = first.folder.string();
  comparison.second = second.folder.string();
  if (first.config && second.config) comparison.config = keys_of(*first.config, *second.config);
  comparison.supervised = measures_of(first, second, Stage::kSupervised);
  comparison.grpo = measures_of(first, second, Stage::kGrpo);
  comparison.first_evaluated = first.evaluation.has_value();
  comparison.second_evaluated = second.evaluation.has_value();
  if (first.evaluation && second.evaluation) {
    comparison.evaluation = evaluations_of(*first.evaluation, *second.evaluation);
    const std::string &one = first.evaluation->inputs.traces_sha256,
                      &other = second.evaluation->inputs.traces_sha256;
    if (!one.empty() && !other.empty()) comparison.same_traces = one == other;
  }
  for (const RunFacts* run : {&first, &second})
    comparison.faults.insert(comparison.faults.end(), run->faults.begin(), run->faults.end());
  return comparison;
}

std::string comparison_text(const RunComparison& comparison) {
  std::string text = concat("first   ", one_line(comparison.first), "\nsecond  ", one_line(comparison.second),
                            "\n", config_section(comparison));
  text += measures_section(Stage::kSupervised, comparison.supervised);
  text += measures_section(Stage::kGrpo, comparison.grpo);
  for (const BudgetPair& pair : comparison.evaluation) text += budget_section(pair);
  if (comparison.first_evaluated != comparison.second_evaluated) {
    text +=
        concat("\nevaluation: only the ", comparison.first_evaluated ? "first" : "second", " run has one\n");
  }
  if (comparison.same_traces == false)
    text += "\nThe evaluations are of different held-out traces: compare only the rises, and with care.\n";
  if (!comparison.faults.empty()) text += "\n";
  for (const std::string& fault : comparison.faults) text += concat("fault: ", fault, "\n");
  return text;
}

nlohmann::ordered_json comparison_json(const RunComparison& comparison) {
  Json json = {{"first", json_text(comparison.first)},
               {"second", json_text(comparison.second)},
               {"config", nullptr},
               {to_string(Stage::kSupervised), measures_json(comparison.supervised)},
               {to_string(Stage::kGrpo), measures_json(comparison.grpo)},
               {"evaluation", Json::array()},
               {"same_traces", nullptr},
               {"faults", comparison.faults}};
  if (comparison.config) {
    json["config"] = Json::object();
    for (const KeyPair& pair : *comparison.config)
      json["config"][pair.key] = {{"first", json_text(pair.first)}, {"second", json_text(pair.second)}};
  }
  for (const BudgetPair& pair : comparison.evaluation) json["evaluation"].push_back(budget_json(pair));
  if (comparison.same_traces) json["same_traces"] = *comparison.same_traces;
  return json;
}

}  // namespace foresight
