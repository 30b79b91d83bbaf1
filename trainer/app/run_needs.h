// What a run will ask of the machine, and whether the machine has it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/config/config.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// The lengths of the traces of one split, in tokens.
struct SplitLengths {
  std::string name;  ///< "train", "validation" or "evaluation"
  std::vector<std::int64_t> tokens;
};

/// Of traces that are to be recorded.
std::vector<SplitLengths> lengths_of(const std::vector<TraceSplit>& splits);
/// Of traces that are recorded in the run's oracle folder. Throws Error(kInput) for a damaged file.
std::vector<SplitLengths> recorded_lengths(const std::filesystem::path& oracle_folder);

/// Bytes that the run writes and holds at once, and the tokens that its stages pass through the model.
struct RunNeeds {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
  /// What to lower where memory is short.
  std::string memory_keys =
      "grpo.group_size, grpo.traces_per_step, evaluation.rows_per_pass or data.trace_tokens";
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// What the machine has: bytes for the run's files (free ones, and those that its oracle and feature files
/// hold already), bytes of memory.
struct MachineRoom {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
};

/// Estimates from the traces' lengths: oracle files, replayed features, weights, the attention that is
/// gathered in the oracle's pass, caches of a pass and the features that a GRPO step keeps; of training
/// stages that are finished nothing. Checkpoints and the text of logs are small beside these.
RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<SplitLengths>& splits);

/// Of the stage that generates traces, without the caches of the prompts: weights, caches of a batch.
RunNeeds estimate_generation_needs(const Config& config, const ModelShape& shape);

/// The room for this run. Throws Error(kResource) when the disk cannot be asked.
MachineRoom machine_room(const Config& config);

/// Throws Error(kResource), naming need and room, when the disk or the memory is too small.
void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room);

}  // namespace foresight
