// model.safetensors.index.json: which files hold the weights of a model.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace foresight {

/// The files that the index's "weight_map" names, each once. Throws Error(kInput) naming file and tensor: not
/// JSON, no map, an entry that does not lead to a file in the same folder or below it.
std::set<std::string> read_shard_names(const std::filesystem::path& index_file);

}  // namespace foresight
