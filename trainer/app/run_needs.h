// What a run will ask of the machine, and whether the machine has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/config/config.h"
#include "trainer/config/stage.h"
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

/// The work that stages are asked about; refers to it.
struct StageWork {
  const Config& config;
  const ModelShape& shape;
  const std::vector<SplitLengths>& splits;
  std::int64_t ranks = 1;
};

/// What a stage asks for: bytes to write by all ranks, bytes to hold by each, and the keys that lower these.
struct StageNeeds {
  double disk = 0, memory = 0;
  std::string memory_keys;
};

/// Throws Error(kInput) for prompts that cannot be read. The caches of the prompts themselves are left out.
StageNeeds traces_needs(const StageWork& work);
StageNeeds oracle_needs(const StageWork& work);
/// The replay: of kTracesPerReplay traces the features, of one the attention in float32 and whole. Nothing
/// when the checkpoint of the last step stands, by the name of its folder.
StageNeeds supervised_needs(const StageWork& work);
/// Rollouts of one pass, and what is kept of the rollouts of a step that this rank runs. Nothing when it is
/// finished, as above.
StageNeeds grpo_needs(const StageWork& work);
/// A pass of policies side by side; what is recorded of its traces, in float32, where policies are compared
/// with it (and again while it is put together); full KV's own cache.
StageNeeds evaluate_needs(const StageWork& work);

/// Bytes that stages have yet to write, bytes that they hold at once on this machine, and the tokens that
/// they pass through the model.
struct RunNeeds {
  std::uint64_t disk_bytes = 0, memory_bytes = 0;
  std::string memory_keys;  ///< what to lower where memory is short; empty where the weights alone count
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// Estimates what `stages` still need. Disk: oracle files and replayed features that are not there. Memory,
/// of the stage that needs most: weights (as read and in float32), and caches of a pass, the attention that
/// the oracle gathers or that a policy is compared with, a replayed batch, or the features that a GRPO step
/// keeps. Of training that is finished nothing; checkpoints, traces as text and logs are small beside these,
/// and tasks and cost measurements are left out. Throws Error(kInput) for prompts that cannot be read.
RunNeeds estimate_needs(const Config& config, const ModelShape& shape,
                        const std::vector<SplitLengths>& splits, const std::vector<Stage>& stages,
                        const RankCounts& ranks = {});

/// What the machine has: free bytes under the run's folder, bytes of memory.
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
