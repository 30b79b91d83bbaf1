// From which checkpoints a session resumes; tests/stages checks that it resumes exactly.
#include <torch/types.h>

#include "tests/base/temporary_folder.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
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
  void train(double metric = 0.5) const {
    TrainingSession session = open();
    for (const torch::Tensor& weight : session.scorer().parameters())
      weight.mutable_grad() = torch::ones_like(weight);
    session.update(0.1, 1.0);
    session.end_step({{"step", session.step()}}, {}, metric);
  }

  std::filesystem::path checkpoints() const { return folder / "supervised/checkpoints"; }
  std::string metrics() const { return content_of(folder / "supervised/metrics.jsonl"); }

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

TEST_CASE("training session: inputs that differ from the checkpoint's are named", "[training]") {
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
  // Paths: their content is compared. The other keys do not affect training.
  run.config.model.path = "elsewhere/small";
  run.config.data.train = {"elsewhere/train.jsonl"};
  run.config.supervised.checkpoint.save_every = 7;
  run.config.runtime.tensorboard = true;
  run.config.grpo.steps = 99;
  CHECK(run.fault(ErrorKind::kConfig).empty());
  CHECK(run.open().step() == 1);
}

TEST_CASE("training session: a checkpoint of another run is taken over whole, with its metric and its rows",
          "[training]") {
  const Run other;
  Run run;
  other.train(0.2);
  other.train(0.3);
  run.train(0.1);  // of another course: better, but no longer this run's
  run.train(0.9);
  const auto from = other.checkpoints() / GENERATE("step-000001", "step-000002", "step-000001/");
  const std::int64_t step = read_manifest(from).at("step");
  run.config.supervised.checkpoint.resume = from.string();
  {
    TrainingSession session = run.open();
    CHECK(session.step() == step);
    const auto found = list_checkpoints(run.checkpoints());
    REQUIRE(found.size() == 1);
    CHECK(found[0].step == step);
    CHECK(found[0].metric == (step == 1 ? 0.2 : 0.3));
    CHECK(run.metrics() == (step == 1 ? "{\"step\":1}\n" : "{\"step\":1}\n{\"step\":2}\n"));
    for (const torch::Tensor& weight : session.scorer().parameters())
      weight.mutable_grad() = torch::ones_like(weight);
    session.update(0.1, 1.0);
    session.end_step({{"step", step + 1}}, {}, 0.4);
    CHECK(best_checkpoint(run.checkpoints()) == found[0].folder);  // the other run's best is not forgotten
  }
  run.config.supervised.checkpoint.resume = "auto";
  CHECK(run.open().step() == step + 1);
  CHECK(list_checkpoints(other.checkpoints()).size() == 2);
  CHECK(other.metrics() == "{\"step\":1}\n{\"step\":2}\n");
}

TEST_CASE("training session: a finished checkpoint of another run is the best one of a run without any",
          "[training]") {
  const Run other;
  Run run;
  for (const double metric : {0.4, 0.3, 0.2, 0.1}) other.train(metric);
  run.config.supervised.checkpoint.resume = (other.checkpoints() / "step-000004").string();
  for (int start = 0; start < 2; ++start) {
    const TrainingSession session = run.open();
    CHECK(session.finished());
    CHECK(best_checkpoint(run.checkpoints()) == run.checkpoints() / "step-000004");
  }
}

TEST_CASE("training session: another run's checkpoint without metrics starts empty ones", "[training]") {
  const Run other;
  Run run;
  other.train();
  std::filesystem::remove(other.folder / "supervised/metrics.jsonl");
  run.config.supervised.checkpoint.resume = (other.checkpoints() / "step-000001").string();
  CHECK(run.open().step() == 1);
  CHECK(run.metrics().empty());
  run.config.supervised.checkpoint.resume = "auto";
  CHECK(run.open().step() == 1);
}

TEST_CASE("training session: a run can go back to one of its steps; later ones are removed", "[training]") {
  Run run;
  for (const double metric : {0.3, 0.1, 0.2}) run.train(metric);
  run.config.supervised.checkpoint.resume = (run.checkpoints() / "step-000002").string();
  CHECK(run.open().step() == 2);
  CHECK(best_checkpoint(run.checkpoints()) == run.checkpoints() / "step-000002");
  CHECK(list_checkpoints(run.checkpoints()).back().step == 2);
  CHECK(run.metrics() == "{\"step\":1}\n{\"step\":2}\n");
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
