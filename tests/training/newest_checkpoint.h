// The newest checkpoint of a folder that no store is open on.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "trainer/training/checkpoint_folder.h"

namespace foresight {

/// The complete checkpoint of the highest step below `root`; nothing when there is none.
inline std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& root) {
  const std::vector<CheckpointFacts> found = list_checkpoints(root);
  return found.empty() ? std::nullopt : std::optional(found.back().folder);
}

}  // namespace foresight
