// Stages that go on from what a kill can leave; the kills themselves are in tests/faults.
#include <torch/types.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "golden_eviction/recorded_trace.h"
#include "rl/grpo_stage.h"
#include "tests/stages/tiny.h"
#include "trainer/app/workspace.h"
#include "trainer/base/files.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/feature_store.h"
#include "trainer/supervised/supervised_stage.h"
#include "trainer/training/checkpoint_folder.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

std::vector<std::int64_t> steps_of_metrics(const std::filesystem::path& file) {
  std::vector<std::int64_t> steps;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    steps.push_back(nlohmann::json::parse(line).at("step").get<std::int64_t>());
  return steps;
}

std::vector<std::int64_t> steps_of_checkpoints(const std::filesystem::path& stage) {
  std::vector<std::int64_t> steps;
  for (const CheckpointFacts& facts : list_checkpoints(stage / "checkpoints")) steps.push_back(facts.step);
  return steps;
}

using Steps = std::vector<std::int64_t>;

TEST_CASE("replay: a batch of which some files are there is replayed as a whole", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config);
  run_oracle(config, workspace.model, workspace.tokenizer);
  const auto traces = load_recorded_traces(tiny.run() / "oracle", "train", config.data.max_train_traces,
                                           workspace.model.fingerprint(), workspace.tokenizer.fingerprint());
  REQUIRE(traces.size() == 4);
  const CacheSize size{config.eviction.budget, config.eviction.window};
  const std::filesystem::path features = tiny.run() / "features";
  const auto digests = [&] {
    FeatureStore(features, workspace.model, traces, size, ScorerFeatures::kNormalized);
    std::vector<std::string> found;
    for (const RecordedTrace& trace : traces)
      found.push_back(sha256_file_hex(features / (trace.id + ".safetensors")));
    return found;
  };
  const auto whole = digests();
  // The first file of the batch says what it is, but holds something else: only a replay mends that.
  const std::filesystem::path first = features / (traces[0].id + ".safetensors");
  const torch::Tensor nothing = torch::zeros({1});
  const auto metadata = SafetensorsFile(first).metadata();
  write_safetensors(first, {tensor_to_write("features", nothing), tensor_to_write("oracle", nothing)},
                    metadata);
  CHECK(digests() != whole);
  std::filesystem::remove(features / (traces[2].id + ".safetensors"));
  CHECK(digests() == whole);
}

TEST_CASE("grpo: gone on from the starting scorer's checkpoint, its row stands once", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2", "grpo.keep_last=9"});
  const Workspace workspace = open_workspace(config);
  run_oracle(config, workspace.model, workspace.tokenizer);
  run_supervised(config, workspace.model, workspace.tokenizer);
  run_grpo(config, workspace.model, workspace.tokenizer);
  const std::filesystem::path stage = tiny.run() / "grpo";
  REQUIRE(steps_of_checkpoints(stage) == Steps{0, 2, 3});
  const std::string last = sha256_file_hex(stage / "checkpoints/step-000003/scorer.safetensors");
  for (const char* name : {"step-000002", "step-000003"})
    std::filesystem::remove_all(stage / "checkpoints" / name);
  run_grpo(config, workspace.model, workspace.tokenizer);
  CHECK(steps_of_metrics(stage / "metrics.jsonl") == Steps{0, 1, 2, 3});
  CHECK(steps_of_checkpoints(stage) == Steps{0, 2, 3});
  CHECK(sha256_file_hex(stage / "checkpoints/step-000003/scorer.safetensors") == last);
}

TEST_CASE("training: what a kill after the last step left is cleared by the next call", "[stages]") {
  const Tiny tiny;
  const Config many = tiny.config({"supervised.save_every=1", "supervised.keep_last=9",
                                   "supervised.keep_features=true", "grpo.save_every=1", "grpo.keep_last=9"});
  const Config few =
      tiny.config({"supervised.save_every=1", "supervised.keep_last=1", "supervised.keep_best=0",
                   "grpo.save_every=1", "grpo.keep_last=1", "grpo.keep_best=0"});
  const Workspace workspace = open_workspace(many);
  run_oracle(many, workspace.model, workspace.tokenizer);
  run_supervised(many, workspace.model, workspace.tokenizer);
  run_grpo(many, workspace.model, workspace.tokenizer);
  const std::filesystem::path supervised = tiny.run() / "supervised", grpo = tiny.run() / "grpo";
  std::filesystem::create_directories(supervised / "checkpoints/.trash-step-000001");
  REQUIRE(std::filesystem::exists(supervised / "features"));
  REQUIRE(steps_of_checkpoints(supervised).size() == 6);
  REQUIRE(steps_of_checkpoints(grpo).size() == 4);
  run_supervised(few, workspace.model, workspace.tokenizer);
  CHECK_FALSE(std::filesystem::exists(supervised / "features"));
  CHECK_FALSE(std::filesystem::exists(supervised / "checkpoints/.trash-step-000001"));
  CHECK(steps_of_checkpoints(supervised) == Steps{6});
  run_grpo(few, workspace.model, workspace.tokenizer);
  CHECK(steps_of_checkpoints(grpo) == Steps{3});
}

}  // namespace
}  // namespace foresight
