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
  const RunNeeds needs{.disk_bytes = 3 << 20, .memory_bytes = 5 << 20};
  CHECK_NOTHROW(require_room(config, needs, {.disk_bytes = 3 << 20, .memory_bytes = 5 << 20}));
  for (const auto& [room, words] :
       {std::pair{MachineRoom{(3 << 20) - 1, 5 << 20}, "disk: the run needs about"},
        {MachineRoom{3 << 20, (5 << 20) - 1}, "memory: the run needs about"}}) {
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
  const Config config = tiny.config({"supervised.keep_features=true"});
  const Workspace workspace = open_workspace(config);
  const RunNeeds needs = estimate_needs(
      config, workspace.model.shape(),
      lengths_of(make_trace_splits(config, workspace.tokenizer, workspace.model.shape().vocabulary_size)));
  command_stage(config, "oracle");
  command_stage(config, "supervised");
  std::uint64_t written = 0;
  for (const char* folder : {"oracle", "supervised/features"}) {
    for (const auto& entry : std::filesystem::directory_iterator(tiny.run() / folder))
      written += entry.file_size();
  }
  // Headers, tokens and digests of these small files are not in the estimate.
  CHECK(static_cast<double>(needs.disk_bytes) > 0.5 * static_cast<double>(written));
  CHECK(needs.disk_bytes < 2 * written);
  // What is written already counts as room, so that a run on a nearly full disk can go on.
  CHECK(machine_room(config).disk_bytes >= written);
}

TEST_CASE("run needs: recorded traces are as long as those to be recorded, finished stages need no room",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"supervised.steps=2", "grpo.steps=1"});
  const Workspace workspace = open_workspace(config);
  const ModelShape& shape = workspace.model.shape();
  const auto planned = lengths_of(make_trace_splits(config, workspace.tokenizer, shape.vocabulary_size));
  const RunNeeds before = estimate_needs(config, shape, planned);
  command_stage(config, "oracle");
  const auto recorded = recorded_lengths(tiny.run() / "oracle");
  REQUIRE(recorded.size() == planned.size());
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    CHECK(recorded[i].name == planned[i].name);
    CHECK(recorded[i].tokens == planned[i].tokens);
  }
  CHECK(estimate_needs(config, shape, recorded).disk_bytes == before.disk_bytes);
  command_stage(config, "supervised");
  const RunNeeds replayed = estimate_needs(config, shape, recorded);
  // 2 layers of 2 KV heads, and half of L^2 attention weights in blocks of 16, two bytes each; 8 traces.
  CHECK(replayed.disk_bytes == 8 * 4 * 160 * 160 / 16);
  CHECK(replayed.disk_bytes < before.disk_bytes);
  CHECK(replayed.memory_bytes == before.memory_bytes);
  command_stage(config, "grpo");
  CHECK(estimate_needs(config, shape, recorded).memory_bytes < before.memory_bytes);
}

TEST_CASE("run needs: a batch of traces that no memory holds is refused by its keys", "[stages]") {
  const Tiny tiny;
  const Config config =
      tiny.config({"traces.prompts=[" + (tiny.folder / "model/prompts.jsonl").string() + "]",
                   "traces.batch=4096", "traces.max_new_tokens=1000000"});
  REQUIRE_THROWS_WITH(command_stage(config, "traces"),
                      Catch::Contains("memory: the run needs about") &&
                          Catch::Contains("lower traces.batch or traces.max_new_tokens"));
}

TEST_CASE("run: a memory that could never be enough is refused before the first file is written",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"grpo.group_size=1024", "grpo.traces_per_step=100000"});
  try {
    command_run(config);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
    CHECK_THAT(error.what(), Catch::Contains("grpo.group_size"));
  }
  CHECK(std::filesystem::is_empty(tiny.run() / "oracle"));
  REQUIRE_THROWS_WITH(command_stage(tiny.config(), "nothing"), Catch::Contains("no stage named nothing"));
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
