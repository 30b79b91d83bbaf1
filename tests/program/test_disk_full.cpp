// No space left, at every stage of a run of the real program.
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/program/run_program.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"

namespace foresight {
namespace {

/// A tiny run in `folder`; its output is always <folder>/run.
std::vector<std::string> tiny_run(const TemporaryFolder& folder, const std::string& command) {
  const auto model = folder / "model";
  return {command,
          "--config",
          "configs/tiny.yaml",
          "output=" + (folder / "run").string(),
          "model.path=" + model.string(),
          "data.train=[" + (model / "train.jsonl").string() + "]",
          "data.evaluation=[" + (model / "evaluation.jsonl").string() + "]",
          "traces.prompts=[" + (model / "prompts.jsonl").string() + "]",
          "traces.max_new_tokens=16",
          "data.max_train_traces=4",
          "supervised.steps=6",
          "supervised.save_every=3",
          "grpo.steps=3",
          "evaluation.max_traces=2",
          "runtime.threads=1"};
}

/// The results of a run by name, without timings: digests of files, and the evaluation.
std::map<std::string, std::string> outcome(const std::filesystem::path& run) {
  std::map<std::string, std::string> result;
  for (const char* name : {"exports/grpo.safetensors", "traces.jsonl"})
    result[name] = sha256_file_hex(run / name);
  auto evaluation = nlohmann::json::parse(content_of(run / "evaluation.json"));
  REQUIRE(evaluation.erase("training") == 1);
  result["evaluation.json"] = evaluation.dump();
  return result;
}

TEST_CASE("program: a full disk at any stage is one clear error, and the next call finishes the same run",
          "[program]") {
  const TemporaryFolder folder;
  REQUIRE(run_program({"make-tiny-model", (folder / "model").string()}).exit_code == 0);
  REQUIRE(run_program(tiny_run(folder, "run")).exit_code == 0);
  const auto undisturbed = outcome(folder / "run");

  std::set<std::string> faults;
  // Each limit stops the run at the first file that grows beyond it; finished files are kept.
  std::filesystem::remove_all(folder / "run");
  for (const std::uint64_t bytes : {100, 1000, 4000, 8000, 16000, 24000, 32000, 64000, 250000, 1000000}) {
    const ProgramResult result = run_program(tiny_run(folder, "run"), {.file_bytes = bytes});
    INFO("limit " << bytes << ": " << result.err);
    if (result.exit_code == 0) break;
    CHECK(result.exit_code == static_cast<int>(ErrorKind::kResource));
    const auto errors = result.lines_with(" error ");
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].find((folder / "run").string()) != std::string::npos);
    faults.insert(errors[0].substr(errors[0].find((folder / "run").string())));
  }
  INFO("distinct faults: " << faults.size());
  CHECK(faults.size() >= 4);
  const ProgramResult last = run_program(tiny_run(folder, "run"));
  INFO(last.err);
  REQUIRE(last.exit_code == 0);
  CHECK(outcome(folder / "run") == undisturbed);
}

}  // namespace
}  // namespace foresight
