// A checkpoint of another run that this one resumes from.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/training/checkpoint_folder.h"

namespace foresight {

/// True when `checkpoint` is one of those that `store` publishes.
bool is_own_checkpoint(const CheckpointFacts& checkpoint, CheckpointStore& store);

/// Makes `checkpoint`, with its metric, the only checkpoint of `store`, and replaces `metrics_file` by the
/// rows that belong to it. The other run stays as it is. The log lines start with `stage`, name step and
/// metric, and warn if the other run's rows are missing. Returns the facts for this run (metrics_offset is
/// that of `metrics_file`). Throws Error(kInput) for a damaged checkpoint, Error(kResource).
nlohmann::json adopt_checkpoint(const std::string& stage, const CheckpointFacts& checkpoint,
                                CheckpointStore& store, const std::filesystem::path& metrics_file);

}  // namespace foresight
