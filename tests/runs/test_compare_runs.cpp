#include "trainer/runs/compare_runs.h"

#include <cmath>

#include "tests/runs/compared_runs.h"

namespace foresight {
namespace {

using Catch::Contains;

constexpr const char* kFirstEvaluation = R"({"budget": 32, "window": 16, "inputs": {"traces_sha256": "abc"},
  "policies": {"full": {"loss": 1.5, "loss_rise": 0}, "grpo": {"loss": 1.75, "loss_rise": 0.25},
               "rkv": {"loss": 2, "loss_rise": 0.5}},
  "sweep": [{"budget": 64, "window": 16, "policies": {"grpo": {"loss": 1.625, "loss_rise": 0.125}}}]})";
constexpr const char* kSecondEvaluation = R"({"budget": 32, "window": 16, "inputs": {"traces_sha256": "abc"},
  "policies": {"full": {"loss": 1.5, "loss_rise": 0}, "grpo": {"loss": 1.625, "loss_rise": 0.125},
               "h2o": {"loss": 3, "loss_rise": 1.5}},
  "sweep": [{"budget": 32, "window": 16, "policies": {"grpo": {"loss": 9}}},
            {"budget": 128, "window": 16, "policies": {"grpo": {"loss": 1.5, "loss_rise": 0}}}]})";

/// Two runs that differ in what their names say.
struct TwoRuns {
  RunFolders folders;
  Config config = small_config(), other = small_config();
  TwoRuns() {
    other.supervised.steps = 80;
    other.output = "elsewhere";
    other.data.evaluation = {};
    folders.open("first", config);
    folders.open("second", other);
    folders.write("first/supervised/metrics.jsonl",
                  "{\"step\":1,\"loss\":9,\"gone\":1}\n{\"step\":40,\"loss\":0.5,\"learning_rate\":0.01}\n");
    folders.write("second/supervised/metrics.jsonl",
                  "{\"step\":80,\"loss\":0.25,\"eval_loss_rise\":0.125}\n");
    folders.write("first/evaluation.json", kFirstEvaluation);
    folders.write("second/evaluation.json", kSecondEvaluation);
  }
  RunComparison compare() const {
    return compare_runs(read_run(folders / "first"), read_run(folders / "second"));
  }
};

TEST_CASE("comparison: the keys are those of config_differences, with both values") {
  const TwoRuns runs;
  const RunComparison comparison = runs.compare();
  std::vector<std::string> differences;
  REQUIRE(comparison.config);
  for (const KeyPair& pair : *comparison.config)
    differences.push_back(pair.key + ": " + pair.first + " -> " + pair.second);
  std::vector<std::string> expected;
  for (const KeyDifference& difference : config_differences(runs.config, runs.other))
    expected.push_back(difference.text());
  CHECK(differences == expected);
  CHECK(differences.size() == 3);
}

TEST_CASE("comparison: the last rows of a stage stand side by side, step first") {
  const RunComparison comparison = TwoRuns().compare();
  std::vector<std::string> rows;
  for (const MeasurePair& pair : comparison.supervised) {
    rows.push_back(pair.name + " " + std::to_string(pair.value.first) + " " +
                   std::to_string(pair.value.second) + " " + std::to_string(pair.value.difference()));
  }
  REQUIRE(rows.size() == 4);
  CHECK(rows[0] == "step 40.000000 80.000000 40.000000");
  CHECK(comparison.supervised[1].name == "eval_loss_rise");
  CHECK(std::isnan(comparison.supervised[1].value.first));
  CHECK(comparison.supervised[1].value.second == 0.125);
  CHECK(std::isnan(comparison.supervised[1].value.difference()));
  CHECK(comparison.supervised[2].name == "learning_rate");
  CHECK(std::isnan(comparison.supervised[2].value.second));
  CHECK(rows[3] == "loss 0.500000 0.250000 -0.250000");
  CHECK(comparison.grpo.empty());
}

TEST_CASE("comparison: policies stand side by side at every budget that both runs evaluated") {
  const RunComparison comparison = TwoRuns().compare();
  REQUIRE(comparison.evaluation.size() == 1);
  const BudgetPair& pair = comparison.evaluation[0];
  CHECK(pair.first_budget == 32);
  CHECK(pair.second_budget == 32);
  REQUIRE(pair.policies.size() == 4);
  CHECK(pair.policies[1].policy == "grpo");
  CHECK(pair.policies[1].loss.difference() == -0.125);
  CHECK(pair.policies[1].loss_rise.first == 0.25);
  CHECK(pair.policies[2].policy == "rkv");
  CHECK(std::isnan(pair.policies[2].loss.second));
  CHECK(pair.policies[3].policy == "h2o");
  CHECK(pair.policies[3].loss_rise.second == 1.5);
  CHECK(comparison.same_traces == true);
}

TEST_CASE("comparison: a budget of one run's sweep may be the other's own; without one each has its own") {
  TwoRuns runs;
  runs.folders.write(
      "second/evaluation.json",
      R"({"budget": 64, "window": 16, "policies": {"grpo": {"loss": 1.5, "loss_rise": 0.5}}})");
  RunComparison comparison = runs.compare();
  REQUIRE(comparison.evaluation.size() == 1);
  CHECK(comparison.evaluation[0].first_budget == 64);
  CHECK(comparison.evaluation[0].policies.at(0).loss.first == 1.625);
  CHECK_FALSE(comparison.same_traces);
  runs.folders.write(
      "second/evaluation.json",
      R"({"budget": 64, "window": 32, "policies": {"grpo": {"loss": 1.5, "loss_rise": 0.5}}})");
  comparison = runs.compare();
  REQUIRE(comparison.evaluation.size() == 1);
  CHECK(comparison.evaluation[0].first_budget == 32);
  CHECK(comparison.evaluation[0].second_budget == 64);
  CHECK_THAT(comparison_text(comparison),
             Contains("budget 32, window 16 (first) and budget 64, window 32 (second): no budget in common"));
}

TEST_CASE("comparison: the text has a table for each part") {
  TwoRuns runs;
  const std::string first = (runs.folders / "first").string(), second = (runs.folders / "second").string();
  CHECK(comparison_text(runs.compare()) == "first   " + first + "\nsecond  " + second + R"(

config: keys that differ
key               first             second
output            somewhere         elsewhere
data.evaluation   [held_out.jsonl]  []
supervised.steps  40                80

supervised: last rows
measure         first  second  difference
step               40      80         +40
eval_loss_rise      -   0.125           -
learning_rate    0.01       -           -
loss              0.5    0.25       -0.25

evaluation: budget 32, window 16
policy           loss first  second  difference  loss rise first   second  difference
full                 1.5000  1.5000     +0.0000          +0.0000  +0.0000     +0.0000
supervised + RL      1.7500  1.6250     -0.1250          +0.2500  +0.1250     -0.1250
R-KV                 2.0000       -           -          +0.5000        -           -
H2O                       -  3.0000           -                -  +1.5000           -
no paired intervals: an evaluation.json does not say how many tokens of each trace it scored; `foresight evaluate` of this version writes that
)");
}

TEST_CASE("comparison: rises on the same tokens have the interval of their difference, as text and as JSON") {
  ComparedRuns compared;
  nlohmann::json first = evaluation_of_two(0.2, 0.1), second = evaluation_of_two(0.1, 0.06);
  for (nlohmann::json* evaluation : {&first, &second}) {
    for (const std::string name : {"runs/a/exports/grpo.safetensors", "runs/b/exports/grpo.safetensors"})
      (*evaluation)["policies"][name] = policy_of_two(0.25, 0.25);
  }
  compared.add("a", first);
  compared.add("b", second);
  const std::vector<RunFacts> runs = compared.read();
  const RunComparison comparison = compare_runs(runs[0], runs[1]);
  const std::string text = comparison_text(comparison);
  CHECK_THAT(text, Contains("95 % interval") && Contains("-0.0550  -0.1000 to -0.0400\n"));
  CHECK_THAT(text, Contains("\na/exports/grpo.safetensors ") && Contains("\nb/exports/grpo.safetensors "));
  const auto json = nlohmann::json::parse(comparison_json(comparison).dump());
  const auto& rise = json.at("evaluation")[0].at("policies").at("supervised").at("loss_rise");
  CHECK(rise.at("low").get<double>() == Approx(-0.1));
  CHECK(rise.at("high").get<double>() == Approx(-0.04));
}

TEST_CASE("comparison: equal runs have no difference, and different traces are reported") {
  const TwoRuns runs;
  const RunFacts run = read_run(runs.folders / "first");
  const RunComparison same = compare_runs(run, run);
  CHECK_THAT(comparison_text(same), Contains("config: no difference"));
  CHECK(same.evaluation.size() == 2);
  for (const MeasurePair& pair : same.supervised) CHECK(pair.value.difference() == 0);
  RunFacts other = run;
  other.evaluation->inputs.traces_sha256 = "def";
  CHECK_THAT(comparison_text(compare_runs(run, other)), Contains("different held-out traces"));
  CHECK(compare_runs(run, other).same_traces == false);
}

TEST_CASE("comparison: a faulty file is reported, and only its part is left out") {
  const TwoRuns runs;
  runs.folders.write("first/config.yaml", "output: [");
  runs.folders.write("second/evaluation.json", "{");
  const RunComparison comparison = runs.compare();
  CHECK_FALSE(comparison.config);
  CHECK(comparison.evaluation.empty());
  CHECK(comparison.supervised.size() == 4);
  CHECK(comparison.faults.size() == 2);
  const std::string text = comparison_text(comparison);
  CHECK_THAT(text, Contains("evaluation: only the first run has one"));
  CHECK_THAT(text, Contains("config: cannot be compared") && Contains("fault: ") && Contains("config.yaml"));
  const auto json = comparison_json(comparison);
  CHECK(json.at("config").is_null());
  CHECK(json.at("faults").size() == 2);
}

TEST_CASE("comparison: JSON has the same values") {
  const TwoRuns runs;
  const auto json = nlohmann::json::parse(comparison_json(runs.compare()).dump());
  CHECK(json.at("first") == (runs.folders / "first").string());
  CHECK(json.at("config") == nlohmann::json::parse(R"({
    "output": {"first": "somewhere", "second": "elsewhere"},
    "data.evaluation": {"first": "[held_out.jsonl]", "second": "[]"},
    "supervised.steps": {"first": "40", "second": "80"}})"));
  CHECK(json.at("supervised") == nlohmann::json::parse(R"({
    "step": {"first": 40.0, "second": 80.0, "difference": 40.0},
    "eval_loss_rise": {"first": null, "second": 0.125, "difference": null},
    "learning_rate": {"first": 0.01, "second": null, "difference": null},
    "loss": {"first": 0.5, "second": 0.25, "difference": -0.25}})"));
  CHECK(json.at("grpo").empty());
  CHECK(json.at("evaluation").size() == 1);
  CHECK(json.at("evaluation")[0].at("policies").at("grpo") == nlohmann::json::parse(R"({
    "loss": {"first": 1.75, "second": 1.625, "difference": -0.125},
    "loss_rise": {"first": 0.25, "second": 0.125, "difference": -0.125, "low": null, "high": null}})"));
  CHECK(json.at("evaluation")[0].at("first") == nlohmann::json::parse(R"({"budget": 32, "window": 16})"));
  CHECK(json.at("same_traces") == true);
}

}  // namespace
}  // namespace foresight
