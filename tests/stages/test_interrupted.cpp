// Stages that resume from the files that a kill can leave; the kills themselves are in tests/faults.
#include <torch/types.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "tests/stages/tiny.h"
#include "tests/traces/load_recorded.h"
#include "tests/training/newest_checkpoint.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/files.h"
#include "trainer/base/manifest.h"
#include "trainer/base/version.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/streamed_states.h"
#include "trainer/traces/recorded_trace.h"
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

TEST_CASE("replay: a batch with some of its files is replayed as a whole", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto traces = load_recorded_traces(tiny.run() / "oracle", "train", config.data.max_train_traces,
                                           workspace.model.fingerprint(), workspace.tokenizer.fingerprint());
  REQUIRE(traces.size() == 4);
  const std::vector<CacheSize> sizes(traces.size(), config.eviction);
  const std::filesystem::path features = tiny.run() / "features";
  const auto digests = [&] {
    CachedStates(
        features, workspace.model, traces, sizes, ScorerFeatures::kNormalized, golden_behaviour(),
        StreamedStates(workspace.model, traces, sizes, ScorerFeatures::kNormalized, golden_behaviour())
            .evictions(),
        alone());
    std::vector<std::string> found;
    for (const RecordedTrace& trace : traces)
      found.push_back(sha256_file_hex(features / (trace.id + ".safetensors")));
    return found;
  };
  const auto whole = digests();
  // The first file of the batch has the right facts but wrong content, which only a replay repairs.
  const std::filesystem::path first = features / (traces[0].id + ".safetensors");
  const torch::Tensor nothing = torch::zeros({1});
  const auto metadata = SafetensorsFile(first).metadata();
  write_safetensors(first, {tensor_to_write("features", nothing), tensor_to_write("oracle", nothing)},
                    metadata);
  CHECK(digests() != whole);
  std::filesystem::remove(features / (traces[2].id + ".safetensors"));
  CHECK(digests() == whole);
}

TEST_CASE("grpo: resumed from the starting scorer's checkpoint, its row appears once", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2", "grpo.keep_last=9"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  run_grpo(config, workspace.model, workspace.tokenizer, alone());
  const std::filesystem::path stage = tiny.run() / "grpo";
  REQUIRE(steps_of_checkpoints(stage) == Steps{0, 2, 3});
  const std::string last = sha256_file_hex(stage / "checkpoints/step-000003/scorer.safetensors");
  for (const char* name : {"step-000002", "step-000003"})
    std::filesystem::remove_all(stage / "checkpoints" / name);
  run_grpo(config, workspace.model, workspace.tokenizer, alone());
  CHECK(steps_of_metrics(stage / "metrics.jsonl") == Steps{0, 1, 2, 3});
  CHECK(steps_of_checkpoints(stage) == Steps{0, 2, 3});
  CHECK(sha256_file_hex(stage / "checkpoints/step-000003/scorer.safetensors") == last);
}

TEST_CASE("training: checkpoints of other inputs are neither resumed from nor taken for finished",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2", "grpo.steps=1"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  run_grpo(config, workspace.model, workspace.tokenizer, alone());
  REQUIRE_NOTHROW(run_supervised(config, workspace.model, workspace.tokenizer, alone()));

  const Config anew = tiny.config(
      {"supervised.steps=2", "grpo.steps=1", "supervised.resume=never", "supervised.learning_rate=0.002"});
  run_supervised(anew, workspace.model, workspace.tokenizer, alone());
  REQUIRE_THROWS_WITH(run_grpo(anew, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("other inputs") && Catch::Contains("starting scorer") &&
                          !Catch::Contains("training traces") && Catch::Contains("grpo.resume=never"));

  // The same path with other rows: recorded again, as the oracle stage demands.
  const Config again = tiny.config(
      {"supervised.steps=2", "grpo.steps=1", "supervised.learning_rate=0.002", "grpo.resume=never"});
  const auto train = tiny.folder / "model/train.jsonl";
  const std::string rows = read_file(train);
  const std::size_t second_row = rows.find('\n') + 1;
  write_file_atomically(train, rows.substr(second_row) + rows.substr(0, second_row));
  std::filesystem::remove_all(tiny.run() / "oracle");
  run_oracle(again, workspace.model, workspace.tokenizer, alone());
  REQUIRE_THROWS_WITH(run_supervised(again, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("other inputs") && Catch::Contains("training traces") &&
                          !Catch::Contains("model") && Catch::Contains("supervised.resume=never"));

  make_tiny_model(tiny.folder / "model", 2);
  write_file_atomically(train, rows);
  const Workspace changed = open_workspace(again, alone());
  std::filesystem::remove_all(tiny.run() / "oracle");
  run_oracle(again, changed.model, changed.tokenizer, alone());
  REQUIRE_THROWS_WITH(run_supervised(again, changed.model, changed.tokenizer, alone()),
                      Catch::Contains("(SHA-256 of: model)"));
}

TEST_CASE("training: an initial scorer that changed under its name is an error", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=1"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto file = tiny.folder / "initial.safetensors";
  const auto write_initial = [&](std::uint64_t seed) {
    Scorer::random(workspace.model.shape(), {}, RandomStream(seed, "test")).save(file);
  };
  write_initial(1);
  const Config from_file = tiny.config({"supervised.steps=1", "scorer.initial=" + file.string()});
  run_supervised(from_file, workspace.model, workspace.tokenizer, alone());
  REQUIRE_NOTHROW(run_supervised(from_file, workspace.model, workspace.tokenizer, alone()));
  write_initial(2);
  REQUIRE_THROWS_WITH(run_supervised(from_file, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("(SHA-256 of: initial scorer)"));
  REQUIRE_THROWS_WITH(run_supervised(config, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("(SHA-256 of: initial scorer)"));
}

TEST_CASE("training: a checkpoint of an older version without inputs can be resumed from", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const auto folder = *newest_checkpoint(tiny.run() / "supervised/checkpoints");
  nlohmann::json facts = read_manifest(folder);
  CHECK(facts.at("code_version") == code_version());
  CHECK(facts.at("inputs").size() == 4);
  facts["kind"] = "foresight.checkpoint.1";
  facts.erase("inputs");
  write_manifest(folder, facts);
  REQUIRE_NOTHROW(run_supervised(config, workspace.model, workspace.tokenizer, alone()));
  facts["kind"] = "foresight.checkpoint.2";
  write_manifest(folder, facts);
  REQUIRE_THROWS_WITH(run_supervised(config, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("other inputs"));
}

TEST_CASE("training: a flipped byte in any file of a checkpoint makes it invalid", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2", "supervised.save_every=1"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const auto root = tiny.run() / "supervised/checkpoints";
  const auto newest = *newest_checkpoint(root);
  REQUIRE(newest.filename() == "step-000002");
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(newest)) {
    INFO(entry.path().string());
    ++files;
    const std::string content = read_file(entry.path());
    for (const std::size_t at :
         {std::size_t{0}, content.size() / 3, content.size() / 2, content.size() - 1}) {
      std::string damaged = content;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      std::ofstream(entry.path(), std::ios::binary) << damaged;
      CHECK(newest_checkpoint(root)->filename() == "step-000001");
    }
    std::ofstream(entry.path(), std::ios::binary) << content;
    CHECK(newest_checkpoint(root) == newest);
  }
  CHECK(files == 5);
}

TEST_CASE("training: the next call clears what a kill after the last step left", "[stages]") {
  const Tiny tiny;
  const Config many = tiny.config({"supervised.save_every=1", "supervised.keep_last=9",
                                   "supervised.keep_features=true", "grpo.save_every=1", "grpo.keep_last=9"});
  const Config few =
      tiny.config({"supervised.save_every=1", "supervised.keep_last=1", "supervised.keep_best=0",
                   "grpo.save_every=1", "grpo.keep_last=1", "grpo.keep_best=0"});
  const Workspace workspace = open_workspace(many, alone());
  run_oracle(many, workspace.model, workspace.tokenizer, alone());
  run_supervised(many, workspace.model, workspace.tokenizer, alone());
  run_grpo(many, workspace.model, workspace.tokenizer, alone());
  const std::filesystem::path supervised = tiny.run() / "supervised", grpo = tiny.run() / "grpo";
  std::filesystem::create_directories(supervised / "checkpoints/.trash-step-000001");
  REQUIRE(std::filesystem::exists(supervised / "features"));
  REQUIRE(steps_of_checkpoints(supervised).size() == 6);
  REQUIRE(steps_of_checkpoints(grpo).size() == 4);
  run_supervised(few, workspace.model, workspace.tokenizer, alone());
  CHECK_FALSE(std::filesystem::exists(supervised / "features"));
  CHECK_FALSE(std::filesystem::exists(supervised / "checkpoints/.trash-step-000001"));
  CHECK(steps_of_checkpoints(supervised) == Steps{6});
  run_grpo(few, workspace.model, workspace.tokenizer, alone());
  CHECK(steps_of_checkpoints(grpo) == Steps{3});
}

}  // namespace
}  // namespace foresight
