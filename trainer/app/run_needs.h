// What a run will ask of the machine, and whether the machine has it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// A trace that is recorded, or to be recorded.
struct TraceLength {
  std::string id;  ///< "train-000003"
  std::int64_t tokens = 0;
  bool recorded = false;  ///< its oracle file is there
};

/// The traces of one split.
struct SplitLengths {
  std::string name;  ///< "train", "validation" or "evaluation"
  std::vector<TraceLength> traces;
};

/// Of the traces that this config's rows give.
std::vector<SplitLengths> lengths_of(const Config& config, const std::vector<TraceSplit>& splits);
/// Of the recorded traces that this config uses. Files that cannot be read are left out: the stage that needs
/// them says so.
std::vector<SplitLengths> recorded_lengths(const Config& config);

/// How many ranks share the work, and how many of them this machine's memory.
struct RankCounts {
  std::int64_t all = 1, on_this_host = 1;
};

/// Bytes that stages have yet to write, bytes that they hold at once on this machine, and the tokens that
/// they pass through the model.
struct RunNeeds {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
  std::string memory_keys;  ///< what to lower where memory is short; empty where the weights alone count
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// Estimates what `stages` ("traces", "oracle", "supervised", "grpo", "evaluate") still need. Disk: oracle
/// files and replayed features that are not there. Memory, of the stage that needs most: weights (as read and
/// in float32), and caches of a pass, the attention that the oracle gathers or that a policy is compared
/// with, a replayed batch, or the features that a GRPO step keeps. Of training that is finished nothing;
/// checkpoints, traces as text and logs are small beside these, and tasks and cost measurements are left out.
/// Throws Error(kInput) for prompts that cannot be read ("traces").
RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<SplitLengths>& splits, const std::vector<std::string>& stages,
                        const RankCounts& ranks = {});

/// What there is: free bytes under the run's folder, bytes of the machine's memory that control groups let
/// this process use.
struct MachineRoom {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
};

/// Throws Error(kResource) when the disk cannot be asked.
MachineRoom machine_room(const Config& config);

/// Throws Error(kResource), naming need and room, when the disk or the memory is too small. Memory is left
/// alone where the model runs on a GPU (`options`), which holds most of it.
void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room,
                  const ModelOptions& options = {});

}  // namespace foresight
