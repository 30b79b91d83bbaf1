// A checkpoint of another run that this one goes on from.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/training/checkpoint_folder.h"

namespace foresight {

/// True when `checkpoint` is one of those that `store` publishes.
bool is_own_checkpoint(const CheckpointFacts& checkpoint, CheckpointStore& store);

/// Makes `checkpoint` the one checkpoint of `store`, with its metric, in place of all that stand there, and
/// begins `metrics_file` anew with the rows that belong to it; the other run stays as it is. `stage` begins
/// the log lines, which name step and metric, and warn where the other run's rows are gone. Returns the facts
/// as they stand in this run (metrics_offset is of `metrics_file`). Throws Error(kInput) for a damaged
/// checkpoint, Error(kResource).
nlohmann::json adopt_checkpoint(const std::string& stage, const CheckpointFacts& checkpoint,
                                CheckpointStore& store, const std::filesystem::path& metrics_file);

}  // namespace foresight
