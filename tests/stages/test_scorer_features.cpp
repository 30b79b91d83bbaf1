// Scorers on other features than normalised ones (scorer.features) through the whole pipeline, and what is
// refused.
#include <nlohmann/json.hpp>

#include "data/safetensors.h"
#include "tests/stages/timeless_metrics.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/comm/world.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

std::vector<std::string> serving(std::vector<std::string> more = {}) {
  more.emplace_back("scorer.features=serving");
  return more;
}

/// Loss of every step of a stage.
std::vector<double> losses(const Tiny& tiny, const std::string& stage) {
  std::vector<double> all;
  for (const nlohmann::json& row : timeless_metrics(tiny.run() / stage / "metrics.jsonl"))
    if (row.contains("loss")) all.push_back(row.at("loss").get<double>());
  return all;
}

}  // namespace

TEST_CASE("features: the whole pipeline runs on every kind, and files and policies carry them", "[stages]") {
  const std::string kind = GENERATE("serving", "extended", "relative");
  const Tiny tiny;
  const Config config = tiny.config(
      {"scorer.features=" + kind, "evaluation.policies=[full, golden, supervised, grpo, random]"});
  command_run(config, alone());
  const nlohmann::json policies =
      nlohmann::json::parse(read_file(tiny.run() / "evaluation.json")).at("policies");
  CHECK(policies.at("full").at("loss_rise") == 0.0);
  CHECK(policies.at("supervised").at("loss_rise").is_number());
  CHECK(losses(tiny, "supervised").size() == 6);
  CHECK(losses(tiny, "grpo").size() == 3);
  const auto exported = tiny.run() / "exports/grpo.safetensors";
  {
    const SafetensorsFile file(exported);
    CHECK(file.metadata().at("features") == kind);
    CHECK(file.at("model.layers.1.self_attn.judge_model.fc1.weight").shape ==
          std::vector<std::int64_t>{2, kind == "serving" ? 48 : 57, 16});  // 2 d + 8 g, and 3 g + 3
  }
  // The file says by itself what its features are, whatever the config that reads it says.
  const std::string of_file = "[full, " + exported.string() + "]";
  const Config reading =
      tiny.config({"output=" + (tiny.folder / "reading").string(), "evaluation.policies=" + of_file});
  command_stage(reading, Stage::kOracle, alone());
  command_stage(reading, Stage::kEvaluate, alone());
  const auto again = nlohmann::json::parse(read_file(tiny.folder / "reading/evaluation.json")).at("policies");
  CHECK(again.at(exported.string()).at("loss_rise").get<double>() ==
        Approx(policies.at("grpo").at("loss_rise").get<double>()).margin(1e-6));
}

TEST_CASE("features: serving: another kind trains another scorer, from files and from a replay alike",
          "[stages]") {
  const auto trained = [](const std::vector<std::string>& settings) {
    const Tiny tiny;
    std::vector<std::string> all = {"supervised.states=golden", "supervised.steps=2"};
    all.insert(all.end(), settings.begin(), settings.end());
    const Config config = tiny.config(all);
    command_stage(config, Stage::kOracle, alone());
    command_stage(config, Stage::kSupervised, alone());
    return losses(tiny, "supervised");
  };
  const auto cached = trained(serving({"supervised.features=cache"})),
             streamed = trained(serving({"supervised.features=stream"})),
             normalized = trained({"supervised.features=cache"});
  REQUIRE(cached.size() == 2);
  for (std::size_t i = 0; i < cached.size(); ++i) {
    CHECK(cached[i] == Approx(streamed.at(i)).epsilon(2e-3));  // files hold float16
    CHECK(cached[i] != normalized.at(i));
  }
}

TEST_CASE("features: serving: GRPO's gradient is the same in one pass and by replay", "[stages]") {
  std::vector<nlohmann::json> rows;
  for (const char* together : {"grpo.rollouts_per_pass=4", "grpo.rollouts_per_pass=2"}) {  // of a group of 4
    const Tiny tiny;
    const Config config = tiny.config(serving({"grpo.steps=1", "supervised.steps=2", together}));
    for (const Stage stage : {Stage::kOracle, Stage::kSupervised, Stage::kGrpo})
      command_stage(config, stage, alone());
    rows.push_back(timeless_metrics(tiny.run() / "grpo/metrics.jsonl").at(1));
  }
  CHECK(rows[0].at("grad_norm").get<double>() > 0);
  for (const char* figure : {"reward", "grad_norm", "loss_rise"})
    CHECK(rows[0].at(figure).get<double>() == Approx(rows[1].at(figure).get<double>()).epsilon(1e-4));
}

TEST_CASE("features: stopped after every step and resumed, both stages end with the same bytes", "[stages]") {
  const std::string kind = GENERATE("serving", "extended", "relative");
  const Tiny tiny;
  const Config config = tiny.config({"scorer.features=" + kind, "supervised.features=stream"});
  const auto train = [&](bool stopped) {
    for (const Stage stage : {Stage::kSupervised, Stage::kGrpo}) {
      for (int stops = 0;; ++stops) {
        REQUIRE(stops < 20);
        if (stopped) request_stop();
        try {
          command_stage(config, stage, alone());
          break;
        } catch (const Error& error) {
          REQUIRE(error.kind() == ErrorKind::kInterrupted);
        }
      }
      clear_stop_request();
    }
    std::string digests;
    for (const char* file : {"supervised/checkpoints/step-000006/scorer.safetensors",
                             "grpo/checkpoints/step-000003/scorer.safetensors"})
      digests += sha256_file_hex(tiny.run() / file) + " ";
    return digests;
  };
  command_stage(config, Stage::kOracle, alone());
  const std::string once = train(false);
  for (const char* stage : {"supervised", "grpo"}) std::filesystem::remove_all(tiny.run() / stage);
  CHECK(train(true) == once);
}

TEST_CASE("features: serving: a scorer of another kind is refused where training would start from it",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config(serving({"supervised.steps=1"}));
  command_stage(config, Stage::kOracle, alone());
  command_stage(config, Stage::kSupervised, alone());
  const auto file = command_export(config, "supervised", "", ExportLayout::kForesight).string();
  const auto refused = [&](const std::vector<std::string>& settings, Stage stage) {
    try {
      command_stage(tiny.config(settings), stage, alone());
      return std::string("not refused");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kConfig);
      return std::string(error.what());
    }
  };
  const std::string other =
      " was trained on other features (serving) than scorer.features (normalized): set "
      "scorer.features=serving, or take another scorer";
  CHECK_THAT(refused({"grpo.start=" + file}, Stage::kGrpo), Contains("grpo.start " + file + other));
  CHECK_THAT(refused({"supervised.steps=1"}, Stage::kGrpo),
             Contains("grpo: the supervised scorer") && Contains("safetensors" + other));
  CHECK_THAT(refused({"scorer.initial=" + file, "supervised.resume=never"}, Stage::kSupervised),
             Contains("scorer.initial " + file + other));
  CHECK_THAT(refused({"supervised.steps=1"}, Stage::kSupervised), Contains("scorer.features"));
  CHECK_THROWS_WITH(command_validate(tiny.config({"grpo.start=" + file, "supervised.resume=never"})),
                    Contains("grpo.start " + file + other));
  CHECK_THROWS_WITH(command_export(config, "supervised", "", ExportLayout::kReleased),
                    Contains("trained on serving features"));
}
