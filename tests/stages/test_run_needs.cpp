#include <torch/types.h>

#include "tests/stages/change_model_config.h"
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
  RunNeeds needs;
  needs.disk_bytes = 3 << 20;
  needs.memory_bytes = 5 << 20;
  needs.memory_keys = "a.key";
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
  const std::string states = GENERATE("supervised.states=own", "supervised.states=both");
  CAPTURE(states);
  const Config config = tiny.config({"supervised.keep_features=true", "supervised.steps=2", states});
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  const std::vector<Stage> stages = {Stage::kOracle, Stage::kSupervised};
  const auto planned =
      lengths_of(config, make_trace_splits(config, workspace.tokenizer, workspace.model.shape()));
  const RunNeeds needs = estimate_needs(config, shape, workspace.model.options(), planned, stages);
  command_stage(config, Stage::kOracle, alone());
  // 2 layers of 2 KV heads; 8 traces, of which 4 are trained on; half of L^2 weights in blocks of 16, two
  // bytes each.
  // The largest stands there twice while it is made.
  const std::uint64_t oracle = 9 * 4 * 160 * 160 / 16;
  CHECK(estimate_needs(config, shape, workspace.model.options(), planned, {Stage::kOracle}).disk_bytes ==
        oracle);
  CHECK(needs.disk_bytes - oracle == estimate_needs(config, shape, workspace.model.options(),
                                                    recorded_lengths(config), {Stage::kSupervised})
                                         .disk_bytes);
  command_stage(config, Stage::kSupervised, alone());
  std::uint64_t written = 0;
  for (const char* folder : {"oracle", "supervised/features"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tiny.run() / folder))
      written += entry.is_regular_file() ? entry.file_size() : 0;
  }
  // Headers, tokens and digests of these small files are not in the estimate.
  CHECK(static_cast<double>(needs.disk_bytes) > 0.5 * static_cast<double>(written));
  CHECK(needs.disk_bytes < 2 * written);
  const Config anew = tiny.config({"supervised.resume=never", states});
  for (const Config& later : {config, anew}) {  // what is already written needs no space again
    const auto there =
        lengths_of(later, make_trace_splits(later, workspace.tokenizer, workspace.model.shape()));
    CHECK(estimate_needs(later, shape, workspace.model.options(), there, stages).disk_bytes == 0);
  }
  std::filesystem::remove_all(tiny.run() / "supervised/features");
  const auto recorded = recorded_lengths(config);
  const auto to_train = [&](const Config& of) {
    return estimate_needs(of, shape, workspace.model.options(), recorded, {Stage::kSupervised}).disk_bytes;
  };
  CHECK(to_train(config) == 0);  // finished
  CHECK(to_train(anew) == needs.disk_bytes - oracle);
}

TEST_CASE("run needs: a trace is replayed once a round, or whenever a streamed step takes it", "[stages]") {
  const Tiny tiny;
  const Config cached = tiny.config({"supervised.rounds=2"}),
               golden = tiny.config({"supervised.states=golden"}),
               streamed = tiny.config(
                   {"supervised.features=stream", "supervised.steps=10", "supervised.traces_per_step=3"});
  const Workspace workspace = open_workspace(cached, alone());
  const std::vector<SplitLengths> lengths = {{"train", {{"train-0", 160, true}, {"train-1", 100, true}}}};
  const auto replayed = [&](const Config& of) {
    return estimate_needs(of, workspace.model.shape(), workspace.model.options(), lengths, {}, {1, 1})
        .replay_tokens;
  };
  CHECK(replayed(golden) == 260);
  CHECK(replayed(cached) == 3 * 260);
  CHECK(replayed(streamed) == Approx(15 * 260));
  // Golden states beside own ones: stored ones are there unless the budget is another one, streamed ones of
  // half of the steps are not.
  CHECK(replayed(tiny.config({"supervised.rounds=2", "supervised.states=both"})) == 3 * 260);
  CHECK(replayed(tiny.config(
            {"supervised.rounds=2", "supervised.states=both", "supervised.budgets=[32, 48]"})) == 5 * 260);
  CHECK(replayed(
            tiny.config({"supervised.features=stream", "supervised.steps=10", "supervised.traces_per_step=3",
                         "supervised.rounds=1", "supervised.states=both"})) == Approx(1.5 * 15 * 260));
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

TEST_CASE(
    "run needs: memory is that of the stage that needs most, item by item, on the ranks of this machine",
    "[stages]") {
  const Tiny tiny;
  const Config config =
      tiny.config({"grpo.group_size=8", "grpo.traces_per_step=4", "grpo.rollouts_per_pass=16",
                   "grpo.likelihood=plackett_luce", "evaluation.random_seeds=1", "runtime.dtype=float32"});
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  const auto lengths = [](std::int64_t tokens) {
    return std::vector<SplitLengths>{{"train", {{"train-000000", tokens, true}, {"train-000001", 100, true}}},
                                     {"evaluation", {{"evaluation-000000", tokens, true}}}};
  };
  const auto needs_of = [&](const Config& of, std::int64_t tokens, const std::vector<Stage>& stages,
                            const RankCounts& ranks = {}) {
    return estimate_needs(of, shape, workspace.model.options(), lengths(tokens), stages, ranks);
  };
  const auto item = [](const RunNeeds& needs, const std::string& what) {
    for (const MemoryItem& one : needs.items) {
      if (one.what.rfind(what, 0) == 0) return one.bytes;
    }
    return -1.0;
  };
  // 2 layers of 2 KV heads (4 query heads) of 16 numbers; 32 + 16 entries; a key and a value in float32, a
  // position, eight statistics of both query heads of a group.
  const RunNeeds grpo = needs_of(config, 160, {Stage::kGrpo});
  CHECK(grpo.largest_stage == "grpo");
  CHECK(item(grpo, "evicting caches, 16 rows of 48 entries") == 16 * 4 * 48 * (2 * 16 * 4 + 8 + 8 * 2 * 4));
  // Per rollout two gradients of a scorer (48 inputs and two biases, 16 wide), and one a trace.
  CHECK(item(grpo, "gradients of rollouts") == (2 * 16 + 2) * 4 * (48 + 2) * 16 * 4);
  CHECK(grpo.device_bytes == 0);
  // No memory of a step grows with the trace.
  CHECK(needs_of(config, 100000, {Stage::kGrpo}).memory_bytes == grpo.memory_bytes);
  CHECK(needs_of(config, 160, {Stage::kGrpo}, {16, 4}).memory_bytes == 4 * grpo.memory_bytes);
  // A replay keeps sampled actions of two bytes each: 7 evictions of 16 entries in 4 heads, of 32 rollouts or
  // a rank's share.
  const Config replayed = tiny.config({"grpo.group_size=8", "grpo.traces_per_step=4",
                                       "grpo.rollouts_per_pass=16", "grpo.updates_per_batch=2"});
  CHECK(item(needs_of(replayed, 160, {Stage::kGrpo}), "sampled evictions for the replay") ==
        32 * 4 * 7 * 16 * 2);
  CHECK(item(needs_of(replayed, 160, {Stage::kGrpo}, {2, 2}), "sampled evictions for the replay") ==
        16 * 4 * 7 * 16 * 2);
  // The full cache of an evaluation does grow, and is named.
  const RunNeeds evaluation = needs_of(config, 160, {Stage::kGrpo, Stage::kEvaluate});
  CHECK(item(evaluation, "full caches of 1 traces") == 4 * 2 * 16 * 160 * 4);
  // What a golden plan reads of a head grows faster: with the root of the windows times the tokens.
  const RunNeeds long_one = needs_of(config, 1 << 20, {Stage::kEvaluate});
  CHECK(long_one.items.front().what == "recorded attention and plan of a layer");
  CHECK(long_one.memory_keys == "data.trace_tokens");
  // On a GPU the memory next to the model is the device's, and the host's is still counted.
  ModelOptions on_gpu = workspace.model.options();
  on_gpu.device = torch::Device(torch::kCUDA, 0);
  const RunNeeds gpu = estimate_needs(replayed, shape, on_gpu, lengths(160), {Stage::kGrpo});
  CHECK(gpu.device_bytes > 0);
  CHECK(gpu.memory_bytes > 0);
  CHECK(gpu.memory_bytes < needs_of(replayed, 160, {Stage::kGrpo}).memory_bytes);
}

TEST_CASE(
    "run needs: features that no cache holds are streamed and need no disk, or are refused by their key",
    "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const ModelShape& shape = workspace.model.shape();
  const std::vector<SplitLengths> lengths = {
      {"train", {{"train-000000", 160, true}, {"train-000001", 160, true}}}};
  const auto needs_of = [&](const Config& config) {
    return estimate_needs(config, shape, workspace.model.options(), lengths, {Stage::kSupervised});
  };
  CHECK(needs_of(tiny.config()).disk_bytes > 0);
  CHECK(needs_of(tiny.config({"supervised.features=stream"})).disk_bytes == 0);
  CHECK(needs_of(tiny.config({"supervised.features_gib=0.00001"})).disk_bytes == 0);
  REQUIRE_THROWS_WITH(
      needs_of(tiny.config({"supervised.features=cache", "supervised.features_gib=0.00001"})),
      Catch::Contains("supervised.features_gib") && Catch::Contains("supervised.features=stream"));
}

TEST_CASE("run needs: a batch of traces that no memory holds is refused by its keys", "[stages]") {
  const Tiny tiny;
  change_model_config(tiny.folder / "model", {{"max_position_embeddings", 2'000'000}});
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
  const Config config =
      tiny.config({"grpo.group_size=1024", "grpo.traces_per_step=1000000", "grpo.updates_per_batch=2"});
  try {
    command_run(config, alone());
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
    CHECK_THAT(error.what(), Catch::Contains("sampled evictions for the replay") &&
                                 Catch::Contains("lower grpo.traces_per_step"));
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
