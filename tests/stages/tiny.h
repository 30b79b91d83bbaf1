// A tiny model and a config of the whole pipeline, in a folder of its own.
#pragma once

#include "tests/base/temporary_folder.h"
#include "tests/reference/paths.h"
#include "trainer/app/tiny_model.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/config/load.h"

namespace foresight {

/// A fresh folder with the tiny model, and a config of the whole pipeline in it.
struct Tiny {
  TemporaryFolder temporary;
  std::filesystem::path folder = temporary.path();
  Tiny() {
    make_tiny_model(folder / "model", 1);
    set_log_level(LogLevel::kError);
    Progress::set_quiet(true);
    clear_stop_request();
  }
  ~Tiny() { clear_stop_request(); }
  Config config(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> overrides = {
        "output=" + (folder / "run").string(),
        "model.path=" + (folder / "model").string(),
        "data.train=[" + (folder / "model/train.jsonl").string() + "]",
        "data.evaluation=[" + (folder / "model/evaluation.jsonl").string() + "]",
        "supervised.steps=6",
        "supervised.save_every=3",
        "supervised.evaluate_every=3",
        "grpo.steps=3",
        "grpo.save_every=2",
        "grpo.evaluate_every=2",
        "data.max_train_traces=4",
        "evaluation.max_traces=2",
        "runtime.threads=1"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return load_config(source_folder() / "configs/tiny.yaml", overrides);
  }
  std::filesystem::path run() const { return folder / "run"; }
};

}  // namespace foresight
