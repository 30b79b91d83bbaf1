// Run folders and what stands in them, without the model: for lists of runs and their comparison.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/config/stage.h"
#include "trainer/report/evaluation_data.h"
#include "trainer/report/metrics_rows.h"

namespace foresight {

enum class StageProgress { kAbsent, kPartial, kDone };

/// How far a stage of a run is. Steps are those of training, batches of traces, or recorded traces.
struct StageFacts {
  Stage stage = Stage::kTraces;
  StageProgress progress = StageProgress::kAbsent;
  std::optional<std::int64_t> step = {}, steps = {};
  std::vector<MetricsRow> metrics = {};  ///< of supervised and grpo: the complete rows
};

/// The measure by which a stage is judged: the lowest value of a validation measure, or else the last value
/// of what is trained on.
struct StageMeasure {
  Stage stage = Stage::kSupervised;
  std::string name;
  double value = 0;
  std::int64_t step = 0;
};

/// What a run folder says. What cannot be read is missing here, and `faults` says why.
struct RunFacts {
  std::filesystem::path folder;
  std::optional<Config> config;
  std::vector<StageFacts> stages;  ///< all, in the order of a run
  std::optional<EvaluationData> evaluation;
  std::int64_t changed = 0;  ///< when a file of the run was last written to: seconds since 1970, 0: none
  std::vector<std::string> faults;  ///< one line each, naming the file
};

/// The run folders in and below `directory`, by path: folders that hold a config.yaml, up to four levels
/// down. Neither the insides of runs nor hidden folders are searched. Folders that cannot be listed are left
/// out with a warning. Throws Error(kInput) when `directory` is not a folder.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& directory);

/// Reads a run folder. Faulty files are not errors: see RunFacts::faults.
RunFacts read_run(const std::filesystem::path& folder);

/// The measure of the last stage that has rows: of supervised the lowest eval_loss_rise, or else the last
/// loss; of grpo the lowest eval_low_entropy_loss_rise, or else the last reward.
std::optional<StageMeasure> judged_by(const RunFacts& run);

/// The last part of model.path; empty without a config.
std::string model_name(const RunFacts& run);

}  // namespace foresight
