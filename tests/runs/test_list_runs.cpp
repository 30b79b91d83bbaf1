#include "trainer/runs/list_runs.h"

#include <sstream>

#include "tests/runs/run_folders.h"

namespace foresight {
namespace {

using Catch::Contains;

/// A run with something of everything.
RunFacts full_run() {
  RunFacts run;
  run.folder = "runs/a";
  run.config = small_config();
  run.stages = {{.stage = Stage::kTraces},
                {.stage = Stage::kOracle, .progress = StageProgress::kDone, .step = 9, .steps = 9},
                {.stage = Stage::kSupervised,
                 .progress = StageProgress::kPartial,
                 .step = 12,
                 .steps = 40,
                 .metrics = {{12, {{"step", 12}, {"eval_loss_rise", 0.0123}}}}},
                {.stage = Stage::kGrpo},
                {.stage = Stage::kEvaluate, .progress = StageProgress::kDone}};
  run.evaluation.emplace();
  run.evaluation->main = {.budget = 32, .window = 16, .first_scored = {}, .policies = {}};
  for (const auto& [name, rise] : std::vector<std::pair<std::string, double>>{{"full", 0},
                                                                              {"golden", 0.01},
                                                                              {"supervised", 0.05},
                                                                              {"grpo", 0.04},
                                                                              {"rkv", 0.2},
                                                                              {"tova", 0.18}}) {
    PolicyMeasures policy;
    policy.name = name;
    policy.scalars = {{"loss", 1 + rise}, {"loss_rise", rise}};
    run.evaluation->main.policies.push_back(policy);
  }
  run.changed = 1795600000;
  return run;
}

RunFacts bare_run() {
  RunFacts run;
  run.folder = "runs/b\nad";
  run.stages = {{.stage = Stage::kTraces},
                {.stage = Stage::kOracle},
                {.stage = Stage::kSupervised, .progress = StageProgress::kPartial, .step = 3},
                {.stage = Stage::kGrpo},
                {.stage = Stage::kEvaluate}};
  run.faults = {"runs/bad/config.yaml: line 1"};
  return run;
}

TEST_CASE("list of runs: a line each, with states, sizes, measures and the best policies") {
  std::istringstream table(runs_text({full_run(), bare_run()}, "runs"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(table, line);) lines.push_back(line);
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] ==
        "run         traces  oracle  supervised  grpo  evaluate  budget/window  model    measure @ step      "
        "    "
        "    evaluated loss rise                    changed (UTC)");
  CHECK(lines[1] ==
        "runs/a      -       done    12/40       -     done      32/16          Tiny-1M  eval_loss_rise "
        "0.0123 @ "
        "12  supervised + RL +0.0400, TOVA +0.1800  2026-11-25 09:46");
  CHECK(lines[2] ==
        "runs/b\\nad  -       -       3/?         -     -         -              -        -                  "
        "     "
        "    -                                      -  FAULTY");
  CHECK(lines[3].empty());
  CHECK(lines[4] == "fault: runs/bad/config.yaml: line 1");
}

TEST_CASE("list of runs: without runs it says where it looked") {
  CHECK_THAT(runs_text({}, "some/where"), Contains("no runs below some/where"));
  CHECK(runs_json({}) == nlohmann::ordered_json::array());
}

TEST_CASE("list of runs: JSON has the same values, and null for what is not there") {
  const auto json = runs_json({full_run(), bare_run()});
  CHECK(json == nlohmann::ordered_json::parse(R"([
    {"path": "runs/a", "model": "Tiny-1M", "budget": 32, "window": 16,
     "stages": {"traces": {"state": "absent", "step": null, "steps": null},
                "oracle": {"state": "done", "step": 9, "steps": 9},
                "supervised": {"state": "partial", "step": 12, "steps": 40},
                "grpo": {"state": "absent", "step": null, "steps": null},
                "evaluate": {"state": "done", "step": null, "steps": null}},
     "measure": {"stage": "supervised", "name": "eval_loss_rise", "value": 0.0123, "step": 12},
     "evaluation": {"budget": 32, "window": 16,
                    "loss_rise": {"full": 0.0, "golden": 0.01, "supervised": 0.05, "grpo": 0.04, "rkv": 0.2,
                                  "tova": 0.18}},
     "changed": "2026-11-25T09:46:40Z", "faults": []},
    {"path": "runs/b\\nad", "model": null, "budget": null, "window": null,
     "stages": {"traces": {"state": "absent", "step": null, "steps": null},
                "oracle": {"state": "absent", "step": null, "steps": null},
                "supervised": {"state": "partial", "step": 3, "steps": null},
                "grpo": {"state": "absent", "step": null, "steps": null},
                "evaluate": {"state": "absent", "step": null, "steps": null}},
     "measure": null, "evaluation": null, "changed": null, "faults": ["runs/bad/config.yaml: line 1"]}])"));
}

TEST_CASE("list of runs: what is no UTF-8 or no number does not end up in JSON") {
  RunFacts run = full_run();
  run.folder = "runs/\xff";
  run.evaluation->main.policies[3].scalars.erase("loss_rise");
  const auto json = nlohmann::json::parse(runs_json({run}).dump());
  CHECK(json[0]["path"] == "runs/\\xff");
  CHECK(json[0]["evaluation"]["loss_rise"]["grpo"].is_null());
  CHECK_THAT(runs_text({run}, "runs"), Contains("supervised +0.0500, TOVA +0.1800"));
}

TEST_CASE("list of runs: dates are UTC") {
  CHECK(date_text(0).empty());
  CHECK(date_text(951782399) == "2000-02-28T23:59:59Z");
  CHECK(date_text(951782400) == "2000-02-29T00:00:00Z");
}

}  // namespace
}  // namespace foresight
