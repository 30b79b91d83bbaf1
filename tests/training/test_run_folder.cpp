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
  fs::create_directories(root / "grpo/checkpoints/step-000004.foresight.partial/deep");
  for (const char* name :
       {"run/oracle/train-000001.h5.foresight.partial", "run/evaluation.json.foresight.partial",
        "run/grpo/checkpoints/step-000004.foresight.partial/deep/scorer.safetensors",
        "run/oracle/train-000000.h5", "run/exports/grpo.safetensors.foresight.partial"}) {
    folder.write(name, "x");
  }
  open_run_folder(config);
  CHECK(fs::is_empty(root / "grpo/checkpoints"));
  CHECK_FALSE(fs::exists(root / "oracle/train-000001.h5.foresight.partial"));
  CHECK_FALSE(fs::exists(root / "evaluation.json.foresight.partial"));
  CHECK(fs::exists(root / "oracle/train-000000.h5"));
  CHECK(fs::exists(root / "exports/grpo.safetensors.foresight.partial"));
}

TEST_CASE("run folder: files and folders of others stay, whatever they are called") {
  const TemporaryFolder folder;
  const Config config = config_in(folder / "run");
  const fs::path root = open_run_folder(config).folder.root;
  fs::create_directories(root / "mine/deep.partial");
  fs::create_directories(root / "grpo/checkpoints/step-by-step.foresight.partial.d");
  fs::create_directories(root / "traces/0123456789abcdef");
  const std::vector<std::string> kept = {"run/notes.partial",
                                         "run/oracle/movie.mp4.partial",
                                         "run/mine/deep.partial/x",
                                         "run/mine/y.foresight.partial",
                                         "run/evaluation.json.partial",
                                         "run/.foresight.partial",
                                         "run/grpo/checkpoints/step-by-step.foresight.partial.d/z"};
  for (const std::string& name : kept) folder.write(name, "x");
  folder.write("run/traces/0123456789abcdef/batch-0.jsonl.foresight.partial", "ours");
  open_run_folder(config);
  for (const std::string& name : kept) CHECK(fs::exists(folder / name));
  CHECK(fs::is_empty(root / "traces/0123456789abcdef"));
}

TEST_CASE("run folder: what is staged of a traces file elsewhere is removed, and nothing else there") {
  const TemporaryFolder folder;
  Config config = config_in(folder / "run");
  config.traces.file = (folder / "traces.jsonl").string();
  folder.write("traces.jsonl.foresight.partial", "ours");
  folder.write("other.jsonl.foresight.partial", "of another run");
  open_run_folder(config);
  CHECK_FALSE(fs::exists(folder / "traces.jsonl.foresight.partial"));
  CHECK(fs::exists(folder / "other.jsonl.foresight.partial"));
}

TEST_CASE("run folder: a folder that has such files before any run is not a run") {
  for (const char* name : {"config.yaml", "evaluation.json", "report.html", "report.csv"}) {
    const TemporaryFolder folder;
    fs::create_directory(folder / "run");
    // The same holds for a config that a user wrote, whose comments would be lost.
    const std::string own = "# mine\n" + to_yaml(config_in(folder / "run"));
    folder.write(concat("run/", name), own);
    const std::string fault =
        error_of(ErrorKind::kConfig, [&] { open_run_folder(config_in(folder / "run")); });
    CHECK_THAT(fault, Contains(concat("run/", name, " existed before any run")));
    CHECK(content_of(folder / concat("run/", name)) == own);
    CHECK(std::distance(fs::directory_iterator(folder / "run"), fs::directory_iterator()) == 1);
  }
}

TEST_CASE("run folder: the lock of another program is not written over") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "run");
  for (const auto& content : std::vector<std::string>{"host-7", "12 34\n", std::string(100, '7')}) {
    folder.write("run/.lock", content);
    CHECK_THAT(error_of(ErrorKind::kConfig, [&] { open_run_folder(config_in(folder / "run")); }),
               Contains("run/.lock is the lock of another program"));
    CHECK(content_of(folder / "run/.lock") == content);
  }
  folder.write("run/.lock", "4711\n");
  CHECK_NOTHROW(open_run_folder(config_in(folder / "run")));
}

TEST_CASE("run folder: a run that was copied without its lock is one") {
  const TemporaryFolder folder;
  const Config config = config_in(folder / "run");
  open_run_folder(config);
  folder.write("run/evaluation.json", "{}");
  fs::remove(folder / "run/.lock");
  CHECK_NOTHROW(open_run_folder(config));
  CHECK(content_of(folder / "run/evaluation.json") == "{}");
}

TEST_CASE("run folder: a second process learns who holds it, and gets it once the first is gone") {
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
    run.lock = std::move(other.lock);  // releases the first one
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
