// Where everything lies in the folder of one run (`output` in the config).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/config/stage.h"

namespace foresight {

/// The paths of a run; none of them need exist.
struct RunFolder {
  std::filesystem::path root;

  std::filesystem::path config_file() const { return root / "config.yaml"; }  ///< the effective config
  std::filesystem::path lock_file() const { return root / ".lock"; }
  /// The folder of a stage; of `evaluate` none is made.
  std::filesystem::path stage(Stage of) const;
  std::filesystem::path oracle() const { return stage(Stage::kOracle); }  ///< one HDF5 file a trace
  /// Cached states of the supervised stage.
  std::filesystem::path features() const { return stage(Stage::kSupervised) / "features"; }
  /// Those of the scorer's own states where golden ones stay beside them (supervised.states: both).
  std::filesystem::path own_features() const { return features() / "own"; }
  /// `traces.file` of the config: relative to the run, or an absolute path.
  std::filesystem::path traces_file(const std::string& configured) const { return root / configured; }
  std::filesystem::path checkpoints(Stage training) const { return stage(training) / "checkpoints"; }
  /// What each step, or each recorded trace, said: of a training stage or of `oracle`.
  std::filesystem::path metrics_file(Stage of) const { return stage(of) / "metrics.jsonl"; }
  /// TensorBoard's, where runtime.tensorboard asks for them.
  std::filesystem::path event_folder(Stage training) const { return stage(training) / "tensorboard"; }
  std::filesystem::path exports() const { return root / "exports"; }  ///< scorers for other programs
  std::filesystem::path evaluation_file() const { return root / "evaluation.json"; }
  std::filesystem::path report_page() const { return root / "report.html"; }
  std::filesystem::path report_table() const { return root / "report.csv"; }
};

/// Files of a checkpoint's folder, beside its manifest.
inline constexpr const char* kCheckpointScorer = "scorer.safetensors";
/// Where training states come from a scorer that stays as it is for a round: that one.
inline constexpr const char* kCheckpointBehaviour = "behaviour.safetensors";
inline constexpr const char* kCheckpointOptimizer = "optimizer.safetensors";
inline constexpr const char* kCheckpointConfig = "config.yaml";

/// Name of the folder of a published checkpoint: "step-000120".
std::string checkpoint_name(std::int64_t step);
/// The step of a published checkpoint's folder name; nothing for any other name.
std::optional<std::int64_t> step_of_checkpoint(std::string_view name);
/// The step of the newest checkpoint in `checkpoints` by the names of its folders, of which a manifest alone
/// must be there: whether its files are whole is not looked at. Nothing where there is none.
std::optional<std::int64_t> newest_checkpoint_step(const std::filesystem::path& checkpoints);

}  // namespace foresight
