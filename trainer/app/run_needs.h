// What a run will ask of the machine, and whether the machine has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "golden_eviction/trace_splits.h"
#include "trainer/app/stage_memory.h"
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

/// The lengths of the traces that this config's rows give.
std::vector<SplitLengths> lengths_of(const Config& config, const std::vector<TraceSplit>& splits);
/// The lengths of traces that are yet to be generated: as many as the config asks for, of data.trace_tokens
/// each.
std::vector<SplitLengths> planned_lengths(const Config& config);
/// The lengths of the recorded traces that this config uses. Files that cannot be read are left out: the
/// stage that needs them reports them.
std::vector<SplitLengths> recorded_lengths(const Config& config);

/// How many ranks share the work, and how many of them share this machine's memory.
struct RankCounts {
  std::int64_t all = 1, on_this_host = 1;
};

/// The work that stages are asked about; refers to it.
struct StageWork {
  const Config& config;
  const ModelShape& shape;
  const ModelOptions& options;
  const std::vector<SplitLengths>& splits;
  std::int64_t ranks = 1;
};

/// What a stage needs: the bytes that all ranks write, and what each rank holds in memory.
struct StageNeeds {
  double disk = 0;
  std::vector<MemoryItem> memory;
};

/// Throws Error(kInput) for prompts that cannot be read.
StageNeeds traces_needs(const StageWork& work);
/// An oracle file holds half of the matrix in blocks of queries, in two bytes each. While it is made, its
/// attention is on the disk twice.
StageNeeds oracle_needs(const StageWork& work);
/// A stage whose last step has a checkpoint, by the name of its folder, needs nothing. Throws Error(kConfig)
/// for a cache of features that is too small.
StageNeeds supervised_needs(const StageWork& work);
/// A stage that is finished, as above, needs nothing.
StageNeeds grpo_needs(const StageWork& work);
StageNeeds evaluate_needs(const StageWork& work);

/// Bytes that stages have yet to write, bytes that they hold at once on this machine and on each GPU, and the
/// tokens that they pass through the model.
struct RunNeeds {
  std::uint64_t disk_bytes = 0;
  std::uint64_t memory_bytes = 0;  ///< of the host, for all ranks on it
  std::uint64_t device_bytes = 0;  ///< of each GPU; 0 without one
  std::string largest_stage;       ///< the stage that holds most
  std::vector<MemoryItem> items;   ///< what a rank holds in it, the largest first
  std::string memory_keys;  ///< what to lower where memory is short; empty where the weights alone count
  double oracle_tokens = 0, replay_tokens = 0, grpo_tokens = 0, evaluation_tokens = 0;
};

/// Estimates what `stages` still need. Disk: oracle files (the largest twice, as it is made by way of a
/// scratch file) and cached states that are not there. Memory: of the stage that needs most (stage_memory.h),
/// or of reading the weights. Training that is finished needs nothing. Checkpoints, traces as text and logs
/// are small beside these and left out, and so are tasks and cost measurements. Throws Error(kInput) for
/// prompts that cannot be read, Error(kConfig) for a cache of features that is too small.
RunNeeds estimate_needs(const Config& config, const ModelShape& shape, const ModelOptions& options,
                        const std::vector<SplitLengths>& splits, const std::vector<Stage>& stages,
                        const RankCounts& ranks = {});

/// What the machine has: free bytes under the run's folder, bytes of memory that control groups let this
/// process use, and bytes of this rank's GPU (0: there is none).
struct MachineRoom {
  std::uint64_t disk_bytes = 0, memory_bytes = 0, device_bytes = 0;
};

/// Throws Error(kResource) when the disk cannot be asked.
MachineRoom machine_room(const Config& config, const ModelOptions& options);

/// Throws Error(kResource), naming need, the largest item and room, when the disk or a memory is too small.
void require_room(const Config& config, const RunNeeds& needs, const MachineRoom& room);

}  // namespace foresight
