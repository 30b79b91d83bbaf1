// Checkpoints as folders that appear whole: checkpoints/step-000120/ with files and a manifest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

namespace foresight {

/// A complete checkpoint.
struct CheckpointFacts {
  std::int64_t step = 0;
  std::filesystem::path folder;
  std::optional<double> metric;  ///< lower is better
  nlohmann::json facts;          ///< what the stage gave to publish(), with "step" and "metric"
};

/// The checkpoint in `folder`, whatever the folder is called. Throws Error(kInput) naming the file when it is
/// not whole (read_manifest()), or when its facts hold no step or a strange metric.
CheckpointFacts read_checkpoint(const std::filesystem::path& folder);

/// The complete checkpoints below `root`, by step; empty when there is none or no such folder. Damaged ones
/// are logged as errors, naming the damage, and left out. Changes nothing on disk.
std::vector<CheckpointFacts> list_checkpoints(const std::filesystem::path& root);
/// The one of the lowest metric (ties: the earlier step); the newest where none has a metric.
std::optional<std::filesystem::path> best_checkpoint(const std::filesystem::path& root);

/// Publishes checkpoints below `root` and removes old ones. One store per root at a time (RunLock): the
/// checkpoints that stand are listed once, when they are first asked for, and followed from then on.
class CheckpointStore {
 public:
  /// Keeps the newest `keep_last` (at least 1) and the best `keep_best` checkpoints. Creates `root` and
  /// clears what an interrupted run left there. Throws Error(kResource) when that fails, Error(kInternal) on
  /// numbers out of range.
  CheckpointStore(std::filesystem::path root, std::int64_t keep_last, std::int64_t keep_best);

  /// An empty folder to write the files of `step` into; nothing counts before publish(). A second call starts
  /// again. Throws Error(kResource).
  std::filesystem::path begin(std::int64_t step);

  /// Publishes what was written since begin(step): manifest, fsync, rename; then removes checkpoints beyond
  /// keep_last and keep_best (never the one just published). A published checkpoint of the same step is
  /// replaced. `facts` is an object; with "step" and "metric" (null where there is none) set it comes back
  /// from list_checkpoints() and from read_manifest(folder). Throws Error(kInternal) without begin(step) or
  /// with unfit facts, Error(kNumeric) when the metric is NaN or Inf, Error(kResource) on disk faults.
  void publish(std::int64_t step, const nlohmann::json& facts, std::optional<double> metric = {});

  /// Removes checkpoints beyond keep_last and keep_best, as publish() does: for a run that was interrupted
  /// before it could. Throws Error(kResource).
  void trim();

  /// Removes the checkpoints of later steps, damaged ones too: a run that resumes from an earlier one would
  /// otherwise find the other run's checkpoints as its newest. Throws Error(kResource).
  void remove_after(std::int64_t step);

  /// The complete checkpoints, by step: those that list_checkpoints() found, and what happened to them since.
  const std::vector<CheckpointFacts>& checkpoints();
  /// The one of the highest step. Nothing when there is none.
  std::optional<std::filesystem::path> newest();
  /// As best_checkpoint(), of checkpoints().
  std::optional<std::filesystem::path> best();
  const std::filesystem::path& root() const { return root_; }

 private:
  void remove(const std::filesystem::path& folder) const;
  void remove_beyond_limits(std::optional<std::int64_t> published_step);

  std::filesystem::path root_;
  std::int64_t keep_last_;
  std::int64_t keep_best_;
  std::optional<std::vector<CheckpointFacts>> listed_;
};

}  // namespace foresight
