// What a training stage begins with: its config, what it reads besides, and the checkpoints that stand.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/config/run_layout.h"
#include "trainer/training/checkpoint_folder.h"

namespace foresight {

/// What a training reads besides its config: what it is -> its fingerprint (SHA-256, hex). Stored with each
/// checkpoint, which resumes with these alone.
using TrainingInputs = std::map<std::string, std::string>;

/// The fingerprints of what every training stage reads.
struct SharedFingerprints {
  std::string model, tokenizer, training_traces, validation_traces;
};

/// The inputs that both stages have; each adds the scorer that it starts from.
TrainingInputs training_inputs(const SharedFingerprints& fingerprints);

/// The checkpoint whose folder the stage's `resume` names; nothing for "auto" and "never". Throws
/// Error(kInput) when it is not there or damaged.
std::optional<CheckpointFacts> named_checkpoint(const Config& config, Stage stage);

/// A training stage of a run before its first step. Its checkpoints are listed, and their files hashed, once:
/// a damaged one is one error line.
class TrainingStart {
 public:
  /// On rank 0, clears what an interrupted run left among the checkpoints. Throws Error(kResource) when that
  /// fails, Error(kInternal) for a stage that trains nothing.
  TrainingStart(const Config& config, Stage stage, TrainingInputs inputs, World& world);

  /// True if the stage's checkpoint of its last step exists and the stage's `resume` is auto. In that case it
  /// logs this, clears what an interruption after that step left, and writes the event file if the config now
  /// asks for it. A collective. Throws Error(kConfig) or Error(kInput) when that checkpoint is of other
  /// settings or inputs, as checkpoint_to_resume() does; Error(kResource).
  bool finished_before();

  /// The checkpoint that the stage's `resume` asks for, the same on all ranks; nothing if the stage starts
  /// from step 0. A collective. Throws Error(kInput) when `resume` names no checkpoint or when the checkpoint
  /// had other inputs, and Error(kConfig) when it was written with other settings that affect what is
  /// learned; both name them. Paths of inputs may change, because their content is compared.
  std::optional<CheckpointFacts> checkpoint_to_resume();

  /// Logs that this checkpoint of the last step exists already.
  void log_finished(const CheckpointFacts& checkpoint) const;
  /// Says where the checkpoint of the lowest metric lies (or the newest, where none was evaluated).
  void log_best();

  const Config& config() const { return config_; }
  Stage stage() const { return stage_; }
  /// "supervised" or "grpo".
  std::string name() const;
  TrainingKeys keys() const { return training_keys(config_, stage_); }
  RunFolder folder() const { return {config_.output}; }
  const TrainingInputs& inputs() const { return inputs_; }
  World& world() const { return *world_; }
  /// Rank 0's; of no other rank's business.
  CheckpointStore& store() { return *store_; }

 private:
  void require_same_training(const CheckpointFacts& checkpoint) const;
  void require_same_inputs(const CheckpointFacts& checkpoint) const;

  Config config_;
  Stage stage_;
  TrainingInputs inputs_;
  World* world_;
  std::optional<CheckpointStore> store_;
};

/// `kind` of a checkpoint's facts.
inline constexpr const char* kCheckpointKind = "foresight.checkpoint.2";
/// Of the time before checkpoints named their inputs.
inline constexpr const char* kCheckpointKindWithoutInputs = "foresight.checkpoint.1";

}  // namespace foresight
