#include "trainer/config/stage.h"

#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

TEST_CASE("stages: they are known by their names, and no other word names one") {
  CHECK(stage_named("traces") == Stage::kTraces);
  CHECK(stage_named("evaluate") == Stage::kEvaluate);
  for (const char* word : {"", "evaluation", "Grpo", "grpo ", "train"}) CHECK_FALSE(stage_named(word));
}

TEST_CASE("stages: supervised and grpo alone train, and are policies that no rule is") {
  for (const auto& [stage, name] : enum_names<Stage>()) {
    INFO(name);
    const bool trains = name == "supervised" || name == "grpo";
    CHECK(training_stage_named(name) == (trains ? std::optional(stage) : std::nullopt));
  }
  CHECK_FALSE(training_stage_named("rkv"));
  CHECK_FALSE(is_rule("supervised"));
  CHECK_FALSE(is_rule("grpo"));
  CHECK(is_rule("rkv"));
}

TEST_CASE("stages: a training stage has its own steps and checkpoint keys, another has none") {
  Config config;
  config.supervised.steps = 7;
  config.supervised.checkpoint.keep_last = 3;
  config.grpo.steps = 5;
  config.grpo.checkpoint.resume = "never";
  CHECK(training_keys(config, Stage::kSupervised).steps == 7);
  CHECK(training_keys(config, Stage::kSupervised).checkpoint.keep_last == 3);
  CHECK(training_keys(config, Stage::kGrpo).steps == 5);
  CHECK(training_keys(config, Stage::kGrpo).checkpoint.resume == "never");
  try {
    training_keys(config, Stage::kOracle);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInternal);
    CHECK(std::string(error.what()) == "stage oracle trains nothing");
  }
}

}  // namespace
}  // namespace foresight
