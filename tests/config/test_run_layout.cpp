#include "trainer/config/run_layout.h"

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

// The names that docs/runs.md promises.
TEST_CASE("run layout: files and folders lie where the documentation says") {
  const RunFolder run{"r"};
  CHECK(run.config_file() == "r/config.yaml");
  CHECK(run.oracle() == "r/oracle");
  CHECK(run.metrics_file(Stage::kOracle) == "r/oracle/metrics.jsonl");
  CHECK(run.features() == "r/supervised/features");
  CHECK(run.checkpoints(Stage::kSupervised) == "r/supervised/checkpoints");
  CHECK(run.metrics_file(Stage::kGrpo) == "r/grpo/metrics.jsonl");
  CHECK(run.event_folder(Stage::kGrpo) == "r/grpo/tensorboard");
  CHECK(run.exports() == "r/exports");
  CHECK(run.evaluation_file() == "r/evaluation.json");
  CHECK(run.report_page() == "r/report.html");
  CHECK(run.report_table() == "r/report.csv");
  CHECK(run.traces_file("traces.jsonl") == "r/traces.jsonl");
  CHECK(run.traces_file("/elsewhere/t.jsonl") == "/elsewhere/t.jsonl");
}

TEST_CASE("run layout: a checkpoint's name is its step, six digits at least") {
  for (const auto& [step, name] : {std::pair<std::int64_t, const char*>{0, "step-000000"},
                                   {120, "step-000120"},
                                   {1234567, "step-1234567"}}) {
    CHECK(checkpoint_name(step) == name);
    CHECK(step_of_checkpoint(name) == step);
  }
  for (const char* name : {"", "step-", "step-12", "step-00012x", "step-0000012", "step-000120.partial",
                           "step--00001", ".trash-step-000001", "step-1000000000000000000"})
    CHECK_FALSE(step_of_checkpoint(name));
}

TEST_CASE("run layout: the newest checkpoint is found by its name, and needs its manifest") {
  const TemporaryFolder folder;
  CHECK_FALSE(newest_checkpoint_step(folder / "missing"));
  CHECK_FALSE(newest_checkpoint_step(folder.path()));
  for (const char* name : {"step-000000", "step-000020", "step-000100.partial", "step-000x00", "step-000040"})
    fs::create_directories(folder / name);
  CHECK_FALSE(newest_checkpoint_step(folder.path()));
  folder.write("step-000000/manifest.json", "");
  CHECK(newest_checkpoint_step(folder.path()) == 0);
  folder.write("step-000020/manifest.json", "{}");
  folder.write("step-000100.partial/manifest.json", "{}");
  folder.write("step-000x00/manifest.json", "{}");
  CHECK(newest_checkpoint_step(folder.path()) == 20);  // 40 has none
}

}  // namespace
}  // namespace foresight
