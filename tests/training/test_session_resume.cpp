// Which checkpoints a session goes on from; that it does so exactly is in tests/stages.
#include <torch/types.h>

#include "tests/base/temporary_folder.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/training/training_session.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

using Catch::Contains;

const TrainingInputs kInputs = {{"model", "aa"}, {"tokenizer", "bb"}, {"training traces", "cc"}};

struct Run {
  TemporaryFolder folder;
  Config config;
  Run() {
    set_log_level(LogLevel::kError);
    config.output = folder.path().string();
    config.model.path = "models/small";
    config.data.train = {"train.jsonl"};
    config.supervised.steps = 4;
  }

  TrainingSession open(const TrainingInputs& inputs = kInputs) const {
    ModelShape shape;
    shape.layers = shape.kv_heads = shape.query_heads = 1;
    shape.head_dimension = 4;
    return {TrainingStart(config, Stage::kSupervised, inputs, alone()),
            Scorer::random(shape, {}, RandomStream(1, "test"))};
  }

  /// One step, and a checkpoint of it.
  void train() const {
    TrainingSession session = open();
    for (const torch::Tensor& weight : session.scorer().parameters())
      weight.mutable_grad() = torch::ones_like(weight);
    session.update(0.1, 1.0);
    session.end_step({{"step", 1}}, {}, 0.5);
  }

  std::string fault(ErrorKind kind, const TrainingInputs& inputs = kInputs) const {
    try {
      open(inputs);
    } catch (const Error& error) {
      CHECK(error.kind() == kind);
      return error.what();
    }
    return "";
  }
};

TEST_CASE("training session: other inputs than the checkpoint's are named, be it by content or by kind",
          "[training]") {
  const Run run;
  run.train();
  CHECK(run.open().step() == 1);
  for (const auto& [what, fingerprint] : kInputs) {
    TrainingInputs others = kInputs;
    others[what] = "dd";
    const std::string message = run.fault(ErrorKind::kInput, others);
    CHECK_THAT(message, Contains("step-000001") && Contains("(SHA-256 of: " + what + ")") &&
                            Contains("supervised.resume=never"));
    others.erase(what);
    CHECK_THAT(run.fault(ErrorKind::kInput, others), Contains("(SHA-256 of: " + what + ")"));
  }
  TrainingInputs more = kInputs;
  more["initial scorer"] = "ee";
  more["tokenizer"] = "ff";
  CHECK_THAT(run.fault(ErrorKind::kInput, more), Contains("(SHA-256 of: initial scorer, tokenizer)"));
}

TEST_CASE("training session: keys that differ are named with both values, unless they may change",
          "[training]") {
  Run run;
  run.train();
  run.config.supervised.margin = 0.75;
  run.config.eviction.budget = 512;
  const std::string message = run.fault(ErrorKind::kConfig);
  CHECK_THAT(message, Contains("supervised.margin: 0.01 -> 0.75") && Contains("eviction.budget: 256 -> 512"));
  run.config.supervised.margin = Config().supervised.margin;
  run.config.eviction.budget = Config().eviction.budget;
  // Paths: their content is compared. The rest changes nothing that is learnt.
  run.config.model.path = "elsewhere/small";
  run.config.data.train = {"elsewhere/train.jsonl"};
  run.config.supervised.checkpoint.save_every = 7;
  run.config.runtime.tensorboard = true;
  run.config.grpo.steps = 99;
  CHECK(run.fault(ErrorKind::kConfig).empty());
  CHECK(run.open().step() == 1);
}

TEST_CASE("training session: gradients whose norm overflows stop it", "[training]") {
  const Run run;
  TrainingSession session = run.open();
  for (const torch::Tensor& weight : session.scorer().parameters())
    weight.mutable_grad() = torch::full_like(weight, 1e30);
  REQUIRE_THROWS_WITH(session.update(0.1, 1.0),
                      Contains("supervised: step 1: the norm of the gradients overflows"));
}

}  // namespace
}  // namespace foresight
