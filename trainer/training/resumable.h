// Whether a stage can resume from a checkpoint, by what the checkpoint says of itself.
#pragma once

#include "trainer/config/config.h"
#include "trainer/config/stage.h"
#include "trainer/training/checkpoint_folder.h"

namespace foresight {

/// Throws Error(kInput) unless the checkpoint is one of this stage, of a kind that the program reads.
void require_checkpoint_of(Stage stage, const CheckpointFacts& checkpoint);
/// Throws Error(kConfig) naming the settings that affect what is learned and differ from the checkpoint's.
void require_settings_of(const Config& config, Stage stage, const CheckpointFacts& checkpoint);

/// The same of the checkpoint that the stage's `resume` names or, where it is auto, of the newest one of the
/// run; a damaged newest one is left to the stage, which takes the one before it. Throws what
/// named_checkpoint() throws too.
void require_resumable(const Config& config, Stage stage);

}  // namespace foresight
