#include <torch/types.h>

#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("run needs: a disk or a memory that is too small is refused with need and room", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const RunNeeds needs{.disk_bytes = 3 << 20, .memory_bytes = 5 << 20, .memory_keys = "a.key"};
  CHECK_NOTHROW(require_room(config, needs, {.disk_bytes = 3 << 20, .memory_bytes = 5 << 20}));
  for (const auto& [room, words] :
       {std::pair{MachineRoom{(3 << 20) - 1, 5 << 20}, "disk: the run needs about"},
        {MachineRoom{3 << 20, (5 << 20) - 1}, "lower a.key"}}) {
    try {
      require_room(config, needs, room);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kResource);
      CHECK_THAT(error.what(), Catch::Contains(words) && Catch::Contains("MiB"));
    }
  }
}

TEST_CASE("run needs: the disk estimate is what the oracle and the replay then write", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.keep_features=true", "supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  const std::vector<Stage> stages = {Stage::kOracle, Stage::kSupervised};
  const auto planned = lengths_of(
      config, make_trace_splits(config, workspace.tokenizer, workspace.model.shape().vocabulary_size));
  const RunNeeds needs = estimate_needs(config, shape, planned, stages);
  command_stage(config, Stage::kOracle, alone());
  // 2 layers of 2 KV heads; 8 traces, of which 4 are trained on; half of L^2 weights in blocks of 16, two
  // bytes each.
  const std::uint64_t oracle = 8 * 4 * 160 * 160 / 16;
  CHECK(estimate_needs(config, shape, planned, {Stage::kOracle}).disk_bytes == oracle);
  CHECK(needs.disk_bytes - oracle ==
        estimate_needs(config, shape, recorded_lengths(config), {Stage::kSupervised}).disk_bytes);
  command_stage(config, Stage::kSupervised, alone());
  std::uint64_t written = 0;
  for (const char* folder : {"oracle", "supervised/features"}) {
    for (const auto& entry : std::filesystem::directory_iterator(tiny.run() / folder))
      written += entry.file_size();
  }
  // Headers, tokens and digests of these small files are not in the estimate.
  CHECK(static_cast<double>(needs.disk_bytes) > 0.5 * static_cast<double>(written));
  CHECK(needs.disk_bytes < 2 * written);
  const Config anew = tiny.config({"supervised.resume=never"});
  for (const Config& later : {config, anew}) {  // what is written needs no room again
    const auto there = lengths_of(
        later, make_trace_splits(later, workspace.tokenizer, workspace.model.shape().vocabulary_size));
    CHECK(estimate_needs(later, shape, there, stages).disk_bytes == 0);
  }
  std::filesystem::remove_all(tiny.run() / "supervised/features");
  const auto recorded = recorded_lengths(config);
  CHECK(estimate_needs(config, shape, recorded, {Stage::kSupervised}).disk_bytes == 0);  // finished
  CHECK(estimate_needs(anew, shape, recorded, {Stage::kSupervised}).disk_bytes == needs.disk_bytes - oracle);
}

TEST_CASE("run needs: recorded traces count as far as the config uses them and they can be read",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  command_stage(config, Stage::kOracle, alone());
  const auto tokens_of = [](const std::vector<SplitLengths>& splits, const std::string& name) {
    std::vector<std::int64_t> tokens;
    for (const SplitLengths& split : splits) {
      if (split.name != name) continue;
      for (const TraceLength& trace : split.traces) {
        CHECK(trace.recorded);
        tokens.push_back(trace.tokens);
      }
    }
    return tokens;
  };
  CHECK(tokens_of(recorded_lengths(config), "train") == std::vector<std::int64_t>(4, 160));
  CHECK(tokens_of(recorded_lengths(config), "evaluation") == std::vector<std::int64_t>(2, 160));
  CHECK(tokens_of(recorded_lengths(tiny.config({"data.max_train_traces=3"})), "train").size() == 3);
  std::filesystem::resize_file(tiny.run() / "oracle/train-000001.h5", 3000);
  CHECK(tokens_of(recorded_lengths(config), "train").size() == 3);
}

TEST_CASE("run needs: memory is that of the stage that needs most, on the ranks of this machine",
          "[stages]") {
  const Tiny tiny;
  const Config config =
      tiny.config({"grpo.group_size=64", "grpo.traces_per_step=4", "grpo.rollouts_per_pass=8",
                   "grpo.likelihood=plackett_luce", "grpo.shortlist_windows=2", "evaluation.random_seeds=1"});
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  const std::vector<SplitLengths> lengths = {
      {"train", {{"train-000000", 160, true}, {"train-000001", 100, true}}},
      {"evaluation", {{"evaluation-000000", 160, true}}}};
  const std::uint64_t weights = 2 * std::filesystem::file_size(tiny.folder / "model/model.safetensors");
  // Evictions of the longest trace at tokens 48, 64 ... 144; 32 entries of 2 * 16 + 8 * 2 inputs, in 4 heads
  // of all layers; a pass of 8 rows of 48 entries, key and value of 16.
  const std::uint64_t rollout = 4 * 7 * 32 * 48 * 4, pass = 8 * 4 * 48 * 32 * 4;
  const auto memory = [&](const std::vector<Stage>& stages, const RankCounts& ranks) {
    return estimate_needs(config, shape, lengths, stages, ranks).memory_bytes;
  };
  CHECK(memory({}, {}) == weights);
  CHECK(memory({Stage::kGrpo}, {}) == weights + pass + 256 * rollout);
  CHECK(memory({Stage::kGrpo}, {1, 1}) ==
        memory({Stage::kEvaluate, Stage::kSupervised, Stage::kGrpo}, {1, 1}));
  // One trace under 10 policies (random once), at 48 entries; its attention in float32, with its copies; full
  // KV.
  const std::uint64_t attention = 4 * (4 * 160 * 160 / 16), entry = 4 * 32 * 4;
  CHECK(memory({Stage::kEvaluate}, {}) == weights + 10 * 48 * entry + 3 * attention + 160 * entry);
  CHECK(memory({Stage::kGrpo}, {16, 4}) == 4 * (weights + pass + 16 * rollout));
  CHECK(memory({Stage::kGrpo}, {64, 1}) == weights + pass + 8 * rollout);  // no more than units
  // The replay: features in float16 and scores in float32 of both traces (7 and 4 evictions, taken as 7),
  // attention of one in float32.
  CHECK(memory({Stage::kSupervised}, {}) ==
        weights + 2 * (4 * 7 * 32 * (2 * 48 + 4)) + 4 * (4 * 160 * 160 / 16));
  CHECK(estimate_needs(config, shape, lengths, {Stage::kGrpo, Stage::kSupervised}).memory_keys ==
        "grpo.group_size, grpo.traces_per_step or grpo.rollouts_per_pass");
}

TEST_CASE("run needs: a batch of traces that no memory holds is refused by its keys", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config(
      {"traces.prompts=[" + (tiny.folder / "model/prompts.jsonl").string() + "]", "traces.batch=65536",
       "traces.samples_per_prompt=100000", "traces.max_new_tokens=1000000"});
  REQUIRE_THROWS_WITH(command_stage(config, Stage::kTraces, alone()),
                      Catch::Contains("memory: the run needs about") &&
                          Catch::Contains("lower traces.batch or traces.max_new_tokens"));
}

TEST_CASE("run: a memory that could never be enough is refused before the first file is written",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"grpo.group_size=1024", "grpo.traces_per_step=100000"});
  try {
    command_run(config, alone());
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
    CHECK_THAT(error.what(), Catch::Contains("grpo.group_size"));
  }
  CHECK(std::filesystem::is_empty(tiny.run() / "oracle"));
}

TEST_CASE("disk: the free space of no path at all is a resource error", "[stages]") {
  try {
    free_disk_bytes("");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
  }
  CHECK(free_disk_bytes("/no/such/folder/yet") == free_disk_bytes("/"));
}
