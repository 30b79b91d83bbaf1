#include "trainer/runs/run_facts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "tests/runs/run_folders.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Paths = std::vector<fs::path>;

constexpr const char* kEvaluation = R"({"budget": 32, "window": 16, "inputs": {"traces_sha256": "abc"},
  "policies": {"full": {"loss": 1.5, "loss_rise": 0}, "grpo": {"loss": 1.75, "loss_rise": 0.25}}})";

TEST_CASE("runs: those below a folder are found, by path, and what lies inside a run is not") {
  const RunFolders folders;
  folders.open("b/two", small_config());
  folders.open("a", small_config());
  folders.write("a/supervised/checkpoints/step-000001/config.yaml", "");
  folders.write("b/notes/readme", "");
  folders.open(".hidden/run", small_config());
  folders.open("1/2/3/4", small_config());
  folders.open("1/2/3/x/5", small_config());
  CHECK(find_runs(folders.path()) == Paths{folders / "1/2/3/4", folders / "a", folders / "b/two"});
  CHECK(find_runs(folders / "a") == Paths{folders / "a"});
  CHECK(find_runs(folders / "a/../b") == Paths{folders / "b/two"});
  CHECK(find_runs(folders / "b/notes").empty());
}

TEST_CASE("runs: a config.yaml that no command left does not hide the runs below it") {
  const RunFolders folders;
  folders.write("config.yaml", to_yaml(small_config()));
  folders.open("runs/a", small_config());
  CHECK(find_runs(folders.path()) == Paths{folders.path(), folders / "runs/a"});
}

TEST_CASE("runs: links that lead back and folders that may not be read do not stop the search") {
  set_log_level(LogLevel::kOff);
  const RunFolders folders;
  folders.open("a", small_config());
  fs::create_directories(folders / "closed");
  fs::create_directories(folders / "loop");
  fs::create_directory_symlink(folders.path(), folders / "loop/again");
  fs::permissions(folders / "closed", fs::perms::none);
  const Paths found = find_runs(folders.path());
  fs::permissions(folders / "closed", fs::perms::owner_all);
  set_log_level(LogLevel::kInfo);
  CHECK(found == Paths{folders / "a"});
}

TEST_CASE("runs: a place without a folder is an input error that says what to give") {
  const RunFolders folders;
  const fs::path file = folders.write("file", "");
  for (const fs::path& path : {folders / "nowhere", file}) {
    std::string message;
    try {
      find_runs(path);
    } catch (const Error& error) {
      CHECK((error.kind() == ErrorKind::kInput));
      message = error.what();
    }
    CHECK_THAT(message, Contains(path.string()) && Contains("folder that holds the runs"));
  }
}

TEST_CASE("run facts: a run that was opened and nothing else has every stage before it") {
  const RunFolders folders;
  const RunFacts run = read_run(folders.open("run", small_config()));
  for (const char* stage : {"traces", "oracle", "supervised", "grpo", "evaluate"})
    CHECK(state_of(run, stage) == "absent");
  CHECK(run.stages.size() == 5);
  CHECK(run.faults.empty());
  CHECK(run.config->eviction.budget == 32);
  CHECK(model_name(run) == "Tiny-1M");
  CHECK_FALSE(run.evaluation);
  CHECK_FALSE(judged_by(run));
}

TEST_CASE("run facts: traces are done with their file, and partly there with some batches") {
  const RunFolders folders;
  Config config = small_config();
  config.traces.file = "made.jsonl";
  const fs::path run = folders.open("run", config);
  folders.write("run/made.jsonl", "{}\n");
  CHECK(state_of(read_run(run), "traces") == "absent");  // not asked for
  config.traces.prompts = {"prompts.jsonl"};
  folders.open("run", config);
  CHECK(state_of(read_run(run), "traces") == "done");
  fs::remove(run / "made.jsonl");
  CHECK(state_of(read_run(run), "traces") == "absent");
  folders.write("run/traces/0123/batch-0.jsonl", "{}\n");
  folders.write("run/traces/0123/batch-1.jsonl", "{}\n");
  folders.write("run/traces/0123/batch-2.jsonl.foresight.partial", "{}\n");
  CHECK(state_of(read_run(run), "traces") == "partial 2/?");
}

TEST_CASE("run facts: the oracle is done when every trace is recorded, or when training began") {
  const RunFolders folders;
  const fs::path run = folders.open("run", small_config());  // 4 + 2 + at most 3 traces
  for (int i = 0; i < 8; ++i) folders.write("run/oracle/train-" + std::to_string(i) + ".h5", "");
  folders.write("run/oracle/train-8.h5.foresight.partial", "");
  folders.write("run/oracle/metrics.jsonl", "");
  CHECK(state_of(read_run(run), "oracle") == "partial 8/9");
  folders.save("run", "supervised", "000000");
  CHECK(state_of(read_run(run), "oracle") == "done");
  fs::remove_all(run / "supervised");
  folders.write("run/oracle/evaluation-0.h5", "");
  CHECK(state_of(read_run(run), "oracle") == "done");
}

TEST_CASE("run facts: a training stage is done with the checkpoint of its last step, not with its last row") {
  const RunFolders folders;
  const fs::path run = folders.open("run", small_config());
  std::string rows;
  for (int step = 1; step <= 40; ++step) {
    rows += "{\"step\":" + std::to_string(step) + ",\"loss\":0.5}\n";
    if (step == 7) {
      folders.write("run/supervised/metrics.jsonl", rows);
      CHECK(state_of(read_run(run), "supervised") == "partial 7/40");
    }
  }
  folders.save("run", "supervised", "000030");
  folders.write("run/supervised/checkpoints/step-000040.foresight.partial/manifest.json", "{}");
  folders.write("run/supervised/checkpoints/step-000040/scorer.safetensors", "");
  folders.write("run/supervised/checkpoints/step-0000x0/manifest.json", "{}");
  CHECK(state_of(read_run(run), "supervised") == "partial 30/40");
  folders.write("run/supervised/metrics.jsonl", rows);
  CHECK(state_of(read_run(run), "supervised") == "partial 40/40");
  folders.save("run", "supervised", "000040");
  CHECK(state_of(read_run(run), "supervised") == "done");
  CHECK(state_of(read_run(run), "grpo") == "absent");
  folders.save("run", "grpo", "000000");
  CHECK(state_of(read_run(run), "grpo") == "partial 0/6");
}

TEST_CASE("run facts: the lowest validation measure counts, else the last value of what is trained on") {
  const RunFolders folders;
  const fs::path run = folders.open("run", small_config());
  const auto judged = [&] {
    const auto measure = judged_by(read_run(run));
    REQUIRE(measure);
    return to_string(measure->stage) + " " + measure->name + " " + std::to_string(measure->value) + " " +
           std::to_string(measure->step);
  };
  folders.write("run/supervised/metrics.jsonl", "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.75}\n");
  CHECK(judged() == "supervised loss 0.750000 2");
  folders.write("run/supervised/metrics.jsonl",
                "{\"step\":1,\"loss\":0.5,\"eval_loss_rise\":0.25}\n"
                "{\"step\":2,\"loss\":0.5,\"eval_loss_rise\":0.125}\n"
                "{\"step\":3,\"loss\":0.5,\"eval_loss_rise\":0.125}\n"
                "{\"step\":4,\"loss\":0.25,\"eval_loss_rise\":null}\n");
  CHECK(judged() == "supervised eval_loss_rise 0.125000 2");
  folders.write("run/grpo/metrics.jsonl", "{\"step\":1,\"reward\":-0.5,\"eval_loss_rise\":0}\n");
  CHECK(judged() == "grpo reward -0.500000 1");
  folders.write("run/grpo/metrics.jsonl",
                "{\"step\":0,\"eval_low_entropy_loss_rise\":0.5}\n{\"step\":1,\"reward\":1}\n"
                "{\"step\":2,\"eval_low_entropy_loss_rise\":0.0625}\n");
  CHECK(judged() == "grpo eval_low_entropy_loss_rise 0.062500 2");
}

TEST_CASE("run facts: an evaluation is read, and its held-out traces are known by their digest") {
  const RunFolders folders;
  const fs::path path = folders.open("run", small_config());
  folders.write("run/evaluation.json", kEvaluation);
  const RunFacts run = read_run(path);
  CHECK(state_of(run, "evaluate") == "done");
  CHECK(run.evaluation->main.policies.at(1).scalar("loss_rise") == 0.25);
  CHECK(run.evaluation->inputs.traces_sha256 == "abc");
  const auto with_inputs = [&](const std::string& inputs) {
    folders.write("run/evaluation.json",
                  R"({"budget": 8, "window": 4, "policies": {}, "inputs": )" + inputs + "}");
    return read_run(path);
  };
  for (const char* inputs : {"null", "{}"}) {
    CHECK(with_inputs(inputs).evaluation->inputs.traces_sha256.empty());
    CHECK(with_inputs(inputs).faults.empty());
  }
  CHECK_THAT(with_inputs("{\"traces_sha256\": 3}").faults.at(0), Contains("inputs.traces_sha256: expected"));
}

TEST_CASE("run facts: faulty files are named, and only their content is missing") {
  const RunFolders folders;
  const fs::path path = folders.open("run", small_config());
  folders.write("run/config.yaml", "output: x\nmodle: {}\n");
  folders.write("run/supervised/metrics.jsonl", "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"lo");
  folders.save("run", "supervised", "000001");
  folders.write("run/grpo/metrics.jsonl", "{\"step\":1}\nno row\n{\"step\":3}\n");
  folders.write("run/evaluation.json", "{\"budget\": 32");
  const RunFacts run = read_run(path);
  CHECK_FALSE(run.config);
  CHECK(model_name(run).empty());
  CHECK(state_of(run, "supervised") == "partial 1/?");
  CHECK(judged_by(run)->value == 0.5);
  CHECK(state_of(run, "grpo") == "absent");
  CHECK(state_of(run, "evaluate") == "done");
  CHECK_FALSE(run.evaluation);
  REQUIRE(run.faults.size() == 4);
  CHECK_THAT(run.faults[0], Contains("run/config.yaml"));
  CHECK_THAT(run.faults[1], Contains("supervised/metrics.jsonl: the last row is torn"));
  CHECK_THAT(run.faults[2], Contains("grpo/metrics.jsonl: line 2"));
  CHECK_THAT(run.faults[3], Contains("run/evaluation.json"));
  for (const std::string& fault : run.faults) CHECK(fault.find('\n') == std::string::npos);
}

TEST_CASE("run facts: the date is that of the newest file of the run or of a stage") {
  const RunFolders folders;
  const fs::path path = folders.open("run", small_config());
  folders.write("run/supervised/metrics.jsonl", "");
  const auto set_date = [&](const fs::path& file, time_t seconds) {
    const struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
  };
  for (const char* file : {"config.yaml", ".lock", "supervised/metrics.jsonl", "supervised"})
    set_date(path / file, 1'000'000'000);
  CHECK(read_run(path).changed == 1'000'000'000);
  set_date(path / "supervised/metrics.jsonl", 1'500'000'000);
  CHECK(read_run(path).changed == 1'500'000'000);
}

}  // namespace
}  // namespace foresight
