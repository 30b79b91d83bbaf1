// What a run will ask of the machine, and whether the machine has it.
#pragma once

#include <cstdint>
#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/config/config.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Bytes that the run writes and holds at once, and the tokens that its stages pass through the model.
struct RunNeeds {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// What the machine has: bytes for the run's files (free ones, and those that its oracle and feature files
/// hold already), bytes of memory.
struct MachineRoom {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
};

/// Estimates from the traces' lengths: oracle files, replayed features, weights, caches of a pass and the
/// features that a GRPO step keeps. Checkpoints and the text of logs are small beside these.
RunNeeds estimate_needs(const Config& config, const ModelShape& shape, const std::vector<TraceSplit>& splits);

/// The room for this run. Throws Error(kResource) when the disk cannot be asked.
MachineRoom machine_room(const Config& config);

/// Throws Error(kResource), naming need and room, when the disk or the memory is too small.
void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room);

}  // namespace foresight
