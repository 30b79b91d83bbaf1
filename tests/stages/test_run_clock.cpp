#include "trainer/app/run_clock.h"

#include <nlohmann/json.hpp>

#include "tests/stages/printed.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/app/workspace.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

using Catch::Contains;

TEST_CASE("run clock: the forecast is in the folder until the run ends, and status shows the time left",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config(
      {"supervised.steps=2", "grpo.steps=0", "evaluation.policies=[full, supervised, streaming_llm]"});
  const std::filesystem::path file = tiny.run() / "forecast.json";
  const std::filesystem::path obstacle = tiny.run() / "supervised/metrics.jsonl";
  std::filesystem::create_directories(obstacle);  // the second stage cannot write its rows
  CHECK_THROWS_WITH(printed([&] { command_run(config, alone()); }), Contains("metrics.jsonl"));
  std::filesystem::remove(obstacle);
  const auto forecast = read_forecast(file);
  REQUIRE(forecast);
  CHECK(forecast->stages.size() == 3);
  CHECK(forecast->find(Stage::kSupervised)->last_step == 2);
  for (const StageForecast& stage : forecast->stages) {
    CHECK(stage.seconds > 0);
    CHECK(stage.took.has_value() == (stage.stage == Stage::kOracle));
  }
  const auto status = [&] {
    return nlohmann::json::parse(printed([&] { command_status(tiny.run(), OutputForm::kJson); }));
  };
  CHECK(status().at("run_seconds_left").get<double>() > 0);
  CHECK_THAT(printed([&] { command_status(tiny.run(), OutputForm::kText); }), Contains("whole run: about "));
  for (int time = 0; time < 2; ++time) {  // the second time all stages are finished
    printed([&] { command_run(config, alone()); });
    CHECK_FALSE(std::filesystem::exists(file));
    CHECK(status().at("run_seconds_left").is_null());
  }
}

TEST_CASE(
    "run clock: what is expected are the tokens that validate counts, less what is done, over the ranks",
    "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.evaluate_every=0", "grpo.evaluate_every=0"});
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  const auto lengths = [&] {
    return lengths_of(config, make_trace_splits(config, workspace.tokenizer, shape));
  };
  const auto forecast = [&](std::int64_t ranks) {
    const RunNeeds needs =
        estimate_needs(config, shape, workspace.model.options(), lengths(), {Stage::kOracle});
    return std::pair(forecast_run(config, lengths(), needs, 10, ranks), needs);
  };
  const auto [before, needs] = forecast(1);
  CHECK(before.find(Stage::kOracle)->seconds == Approx(needs.oracle_tokens / 10));
  CHECK(before.find(Stage::kGrpo)->seconds == Approx(needs.grpo_tokens / 10));
  CHECK(before.find(Stage::kEvaluate)->seconds == Approx(needs.evaluation_tokens / 10));
  CHECK(before.find(Stage::kSupervised)->seconds > needs.replay_tokens / 10);
  CHECK(forecast(4).first.seconds() == Approx(before.seconds() / 4));
  // A run that was stopped after the second of three steps of GRPO.
  printed([&] { command_run(config, alone()); });
  CHECK(forecast(1).first.seconds() == 0);
  std::filesystem::remove_all(tiny.run() / "grpo/checkpoints/step-000003");
  const RunForecast resumed = forecast(1).first;
  CHECK(resumed.find(Stage::kOracle)->seconds == 0);
  CHECK(resumed.find(Stage::kSupervised)->seconds == 0);
  CHECK(resumed.find(Stage::kGrpo)->first_step == 2);
  CHECK(resumed.find(Stage::kGrpo)->seconds == Approx(needs.grpo_tokens / 10 / 3));
  CHECK(resumed.find(Stage::kEvaluate)->seconds == Approx(needs.evaluation_tokens / 10));
}

}  // namespace
}  // namespace foresight
