// What must hold before a run begins: one list, for `foresight validate` and for the start of every run.
#pragma once

#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/app/workspace.h"
#include "trainer/config/config.h"
#include "trainer/config/stage.h"

namespace foresight {

/// The traces that a run learns from and is evaluated on, as far as they are known.
struct RunTraces {
  std::vector<TraceSplit> splits;
  bool to_come = false;  ///< data.* names the file that the traces stage has yet to write: no splits
};

/// Checks what `stages` will use, all of it before the first of them begins: prompts (each fits the model),
/// traces (their number, length, overlap), scorers (scorer.initial, grpo.start, evaluation.policies: there,
/// or trained by one of the stages), checkpoints to resume, and what evaluation scores and generates from.
/// Room on disk and in memory is run_needs.h's. Throws the error that the stage would throw, Error(kInput)
/// or Error(kConfig), naming key, file and line. Returns the traces for Stage::kOracle.
RunTraces require_inputs(const Config& config, const Workspace& workspace, const std::vector<Stage>& stages);

}  // namespace foresight
