// eos_token_id of generation_config.json and config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace foresight {

/// The ids that end a text, and the file that says so.
struct EndTokens {
  std::vector<std::int32_t> ids;
  std::string file;
};

/// eos_token_id of `folder`, as transformers takes it: from generation_config.json, else from config.json.
/// One id, a list of them, or -1 for none; empty where neither says anything. Throws Error(kInput) naming
/// file and value.
EndTokens read_end_tokens(const std::filesystem::path& folder);

}  // namespace foresight
