#include <torch/types.h>

#include "tests/base/temporary_folder.h"
#include "tests/comm/world_of_threads.h"
#include "tests/data/support.h"
#include "trainer/base/log.h"
#include "trainer/config/run_layout.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

ModelShape small_shape() {
  ModelShape shape;
  shape.layers = 1;
  shape.kv_heads = 1;
  shape.query_heads = 1;
  shape.head_dimension = 4;
  return shape;
}

/// Trains up to step `last` of 6, a checkpoint after every second one.
void train(const Config& config, std::int64_t last, World& world) {
  TrainingSession session(TrainingStart(config, Stage::kSupervised, {}, world),
                          Scorer::random(small_shape(), {}, RandomStream(1, "test")));
  while (session.step() < last) {
    for (const torch::Tensor& weight : session.scorer().parameters())
      weight.mutable_grad() = torch::ones_like(weight);
    session.update(0.1, 1.0);
    session.end_step({{"step", session.step()}, {"loss", 1.0 / static_cast<double>(session.step())}}, {},
                     std::nullopt);
  }
}

Config config_in(const TemporaryFolder& folder) {
  set_log_level(LogLevel::kError);
  Config config;
  config.output = folder.path().string();
  config.model.path = "models/small";
  config.data.train = {"train.jsonl"};
  config.supervised.steps = 6;
  config.supervised.checkpoint.save_every = 2;
  config.runtime.tensorboard = true;
  return config;
}

/// The event file must be what the rows of metrics.jsonl give: opening it again changes nothing then.
std::size_t rows_of_events(const Config& config) {
  const RunFolder run{config.output};
  const EventFile file(run.event_folder(Stage::kSupervised), run.metrics_file(Stage::kSupervised));
  std::size_t bytes = 0, files = 0;
  for (const auto& entry : fs::directory_iterator(run.event_folder(Stage::kSupervised))) {
    bytes += entry.file_size();
    files += entry.file_size() > 0 ? 1 : 0;
  }
  CHECK(files == 1);
  const std::string content = content_of(file.path());
  CHECK(content.size() == bytes);
  return tfrecord_payloads(content).size() - 2;
}

TEST_CASE("training session: event files follow metrics.jsonl over a resume, also when asked for later",
          "[training]") {
  const TemporaryFolder folder;
  Config config = config_in(folder);
  const RunFolder run{config.output};
  const auto newest_file = [&] {
    fs::path newest;
    for (const auto& entry : fs::directory_iterator(run.event_folder(Stage::kSupervised)))
      newest = std::max(newest, entry.path());
    return newest.filename().string();
  };
  train(config, 3, alone());
  CHECK(newest_file() == "events.out.tfevents.000001.foresight");
  train(config, 5, alone());  // resumes from step 2
  CHECK(newest_file() == "events.out.tfevents.000002.foresight");
  CHECK(rows_of_events(config) == 5);
  CHECK(newest_file() == "events.out.tfevents.000002.foresight");
  config.runtime.tensorboard = false;
  train(config, 6, alone());
  CHECK(tfrecord_payloads(content_of(run.event_folder(Stage::kSupervised) / newest_file())).size() == 2 + 5);
  config.runtime.tensorboard = true;
  CHECK(TrainingStart(config, Stage::kSupervised, {}, alone()).finished_before());
  CHECK(newest_file() == "events.out.tfevents.000003.foresight");
  CHECK(rows_of_events(config) == 6);
}

TEST_CASE("training session: of several ranks the first alone writes events", "[training]") {
  const TemporaryFolder folder;
  Config config = config_in(folder);
  run_ranks(2, [&](World& world) {
    train(config, 6, world);
    return true;
  });
  CHECK(rows_of_events(config) == 6);
  const TemporaryFolder without;
  config.output = without.path().string();
  config.runtime.tensorboard = false;
  train(config, 2, alone());
  CHECK_FALSE(fs::exists(RunFolder{config.output}.event_folder(Stage::kSupervised)));
}

}  // namespace
}  // namespace foresight
