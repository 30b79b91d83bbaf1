#include "trainer/runs/run_status.h"

#include <unistd.h>

#include "tests/runs/run_folders.h"
#include "trainer/runs/run_forecast.h"

namespace foresight {
namespace {

using Catch::Contains;

std::string row(int step, double seconds, const std::string& more = "") {
  return R"({"step": )" + std::to_string(step) + R"(, "loss": 0.5, "step_time": )" + std::to_string(seconds) +
         more + "}\n";
}

TEST_CASE("status: the stage that has begun, its rate and the time left at this rate") {
  const RunFolders folders;
  const auto run = folders.open("a", small_config());
  folders.write("a/oracle/train-000000.h5", "");
  std::string rows = row(1, 100, R"(, "eval_loss_rise": 0.25)");  // older than the steps of the rate
  for (int step = 2; step <= 21; ++step) rows += row(step, step % 2 == 0 ? 1.0 : 3.0);
  folders.write("a/supervised/metrics.jsonl", rows);
  const RunStatus status = read_status(run);
  REQUIRE(status.current);
  CHECK((*status.current == Stage::kSupervised));
  CHECK(*status.step_seconds == Approx(2.0));
  CHECK(*status.seconds_left == Approx(2.0 * (40 - 21)));
  const std::string text = status_text(status);
  CHECK_THAT(text, Contains("oracle      done\n"));
  CHECK_THAT(text, Contains("supervised  21/40  2 s per step  38s left\n"));
  CHECK_THAT(text, Contains("grpo        -\n"));
  CHECK_THAT(text, Contains("supervised: loss 0.5 @ 21, eval_loss_rise 0.25 @ 1\n"));
  const auto json = status_json(status);
  CHECK(json.at("current_stage") == "supervised");
  CHECK(json.at("stage_seconds_left") == Approx(38.0));
  CHECK(json.at("stages").at("supervised").at("step") == 21);
}

TEST_CASE(
    "status: the time left for the whole run is the stage's at its own rate and the forecast of the rest") {
  const RunFolders folders;
  const auto run = folders.open("a", small_config());
  const auto left = [&] { return read_status(run).run_seconds_left; };
  CHECK_FALSE(left());
  RunForecast forecast{.stages = {{.stage = Stage::kOracle, .seconds = 90, .first_step = 0, .last_step = 9},
                                  {.stage = Stage::kSupervised, .seconds = 100, .last_step = 40},
                                  {.stage = Stage::kGrpo, .seconds = 200, .last_step = 6},
                                  {.stage = Stage::kEvaluate, .seconds = 30}}};
  write_forecast(run / "forecast.json", forecast);
  REQUIRE(left());
  CHECK(*left() == Approx(420));
  for (const char* trace : {"train-000000", "train-000001", "train-000002"})
    folders.write(std::string("a/oracle/") + trace + ".h5", "");
  CHECK(*left() == Approx(60 + 330));  // three of nine traces are recorded
  forecast.end(Stage::kOracle, 190);
  write_forecast(run / "forecast.json", forecast);
  CHECK(*left() == Approx(2 * 330));
  folders.write("a/supervised/metrics.jsonl", row(29, 2) + row(30, 4));
  CHECK(*left() == Approx(3 * (40 - 30) + 2 * 230));
  CHECK_THAT(status_text(read_status(run)), Contains("whole run: about 8m10s left\n"));
  CHECK(status_json(read_status(run)).at("run_seconds_left").get<double>() == Approx(490));
  folders.save("a", "supervised", "000040");
  folders.save("a", "grpo", "000006");
  CHECK(*left() == Approx(60));  // done without an entry in the forecast: another command did it
  forecast.end(Stage::kEvaluate, 1);
  write_forecast(run / "forecast.json", forecast);
  CHECK_FALSE(left());
  folders.write("a/forecast.json", "{");
  CHECK_FALSE(left());
  CHECK_THAT(status_text(read_status(run)), Contains("fault: ") && Contains("forecast.json"));
  CHECK(status_json(read_status(run)).at("run_seconds_left").is_null());
}

TEST_CASE("status: a run is held by the noted process alone, and only while that has its lock open") {
  const RunFolders folders;
  const auto run = folders.open("a", small_config());
  CHECK_FALSE(read_status(run).holder);
  folders.write("a/.lock", "4711\n");
  folders.write("processes/4711/fd/none", "");
  CHECK_FALSE(read_status(run, folders / "processes").holder);
  std::filesystem::create_hard_link(folders / "a/.lock", folders / "processes/4711/fd/3");
  REQUIRE(read_status(run, folders / "processes").holder);
  CHECK(*read_status(run, folders / "processes").holder == 4711);
  CHECK_THAT(status_text(read_status(run, folders / "processes")),
             Contains("process 4711 of this host holds the run"));
  for (const char* noted : {"", "no process\n", "-3\n", "99999999999999999999999999\n"}) {
    folders.write("a/.lock", noted);
    CHECK_FALSE(read_status(run, folders / "processes").holder);
  }
}

TEST_CASE("status: a run that is finished, or not begun, has no stage and no rate; faults are named") {
  const RunFolders folders;
  const RunStatus bare = read_status(folders.open("a", small_config()));
  CHECK_FALSE(bare.current);
  CHECK_FALSE(bare.step_seconds);
  CHECK(status_json(bare).at("current_stage").is_null());
  CHECK_THAT(status_text(bare), Contains("no process of this host holds the run"));
  folders.write("b/config.yaml", "output: [\n");
  CHECK_THAT(status_text(read_status(folders / "b")), Contains("fault: "));
}

}  // namespace
}  // namespace foresight
