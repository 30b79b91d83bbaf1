#include "trainer/training/run_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
#include "trainer/base/text.h"
#include "trainer/config/load.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

Config config_in(const fs::path& output) {
  Config config;
  config.output = output.string();
  config.model.path = "models/small";
  config.data.train = {"train.jsonl"};
  return config;
}

TEST_CASE("run folder: opening makes the folders and writes the effective config, again and again") {
  const TemporaryFolder folder;
  Config config = config_in(folder / "runs/a");
  {
    const OpenRun run = open_run_folder(config);
    CHECK(run.folder.root == folder / "runs/a");
    for (const char* name : {"oracle", "supervised", "grpo", "exports"})
      CHECK(fs::is_directory(folder / "runs/a" / name));
    CHECK(to_yaml(load_config(run.folder.config_file())) == to_yaml(config));
  }
  config.supervised.steps = 7;
  CHECK(load_config(open_run_folder(config).folder.config_file()).supervised.steps == 7);
  folder.write("runs/a/config.yaml", "no: [config");
  CHECK(load_config(open_run_folder(config).folder.config_file()).supervised.steps == 7);
}

TEST_CASE("run folder: opening removes what was staged and not published, but not an export under way") {
  const TemporaryFolder folder;
  const Config config = config_in(folder / "run");
  const fs::path root = open_run_folder(config).folder.root;
  fs::create_directories(root / "grpo/checkpoints/step-000004.partial/deep");
  for (const char* name : {"run/oracle/train-000001.h5.partial", "run/evaluation.json.partial",
                           "run/grpo/checkpoints/step-000004.partial/deep/scorer.safetensors",
                           "run/oracle/train-000000.h5", "run/exports/grpo.safetensors.partial"}) {
    folder.write(name, "x");
  }
  open_run_folder(config);
  CHECK(fs::is_empty(root / "grpo/checkpoints"));
  CHECK_FALSE(fs::exists(root / "oracle/train-000001.h5.partial"));
  CHECK_FALSE(fs::exists(root / "evaluation.json.partial"));
  CHECK(fs::exists(root / "oracle/train-000000.h5"));
  CHECK(fs::exists(root / "exports/grpo.safetensors.partial"));
}

TEST_CASE("run folder: the second opener is told who holds it, and gets it once the first is gone") {
  const TemporaryFolder folder;
  const Config config = config_in(folder / "run");
  const auto fault = [&] { return error_of(ErrorKind::kResource, [&] { open_run_folder(config); }); };
  {
    OpenRun first = open_run_folder(config);
    CHECK_THAT(fault(),
               Contains((folder / "run").string()) && Contains(concat("in use by process ", ::getpid())));
    const RunLock moved = std::move(first.lock);
    CHECK_FALSE(fault().empty());
  }
  CHECK(fault().empty());
  CHECK(fault().empty());
}

TEST_CASE("run folder: the lock binds another process and ends with it") {
  const TemporaryFolder folder;
  const Config config = config_in(folder / "run");
  const auto open_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        const OpenRun run = open_run_folder(config);
        ::_exit(0);  // no destructor: as if it had crashed
      } catch (const Error& error) {
        ::_exit(error.exit_code());
      }
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  {
    OpenRun run = open_run_folder(config);
    CHECK(open_in_child() == static_cast<int>(ErrorKind::kResource));
    OpenRun other = open_run_folder(config_in(folder / "other"));
    run.lock = std::move(other.lock);  // gives the first one up
    CHECK(open_in_child() == 0);
  }
  CHECK(open_in_child() == 0);
  CHECK_NOTHROW(open_run_folder(config));
}

TEST_CASE("run folder: a path that cannot be used is refused before anything is written") {
  const TemporaryFolder folder;
  const fs::path file = folder.write("file", "x");
  CHECK_THAT(error_of(ErrorKind::kConfig, [] { open_run_folder(Config()); }), Contains("output"));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { open_run_folder(config_in(file / "run")); }),
             Contains("cannot create"));
  fs::create_directories(folder / "run/.lock");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { open_run_folder(config_in(folder / "run")); }),
             Contains("cannot write") && Contains(".lock"));
  CHECK_FALSE(fs::exists(folder / "run/config.yaml"));
}

}  // namespace
}  // namespace foresight
