// Run folders written by hand.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/runs/run_facts.h"

namespace foresight {

/// A folder with runs in it.
class RunFolders {
 public:
  std::filesystem::path path() const { return folder_.path(); }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  /// Writes a file and the folders above it.
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    return folder_.write(name, content);
  }

  /// A run that was opened and nothing else.
  std::filesystem::path open(const std::string& name, const Config& config) const {
    write(name + "/.lock", "");
    write(name + "/config.yaml", to_yaml(config));
    return folder_ / name;
  }

  /// A published checkpoint; its files are not looked at.
  void save(const std::string& run, const std::string& stage, const std::string& step) const {
    write(run + "/" + stage + "/checkpoints/step-" + step + "/manifest.json", "{}");
  }

 private:
  TemporaryFolder folder_;
};

inline Config small_config() {
  Config config;
  config.output = "somewhere";
  config.model.path = "models/Tiny-1M/";
  config.data.train = {"train.jsonl"};
  config.data.evaluation = {"held_out.jsonl"};
  config.data.max_train_traces = 4;
  config.data.validation_traces = 2;
  config.eviction.budget = 32;
  config.eviction.window = 16;
  config.supervised.steps = 40;
  config.grpo.steps = 6;
  config.evaluation.max_traces = 3;
  return config;
}

/// What `run` has of a stage.
inline const StageFacts& stage_of(const RunFacts& run, const std::string& name) {
  for (const StageFacts& stage : run.stages) {
    if (to_string(stage.stage) == name) return stage;
  }
  throw std::runtime_error("no stage named " + name);
}

/// "absent", "done", or "partial 3/40".
inline std::string state_of(const RunFacts& run, const std::string& name) {
  const StageFacts& stage = stage_of(run, name);
  if (stage.progress == StageProgress::kAbsent) return "absent";
  if (stage.progress == StageProgress::kDone) return "done";
  return "partial " + std::to_string(stage.step.value_or(-1)) + "/" +
         (stage.steps ? std::to_string(*stage.steps) : "?");
}

}  // namespace foresight
