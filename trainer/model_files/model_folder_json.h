// JSON files of a Hugging Face model folder.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace foresight {

/// The file's text. Throws Error(kInput) when it cannot be read, is larger than 256 MiB or not UTF-8.
std::string read_model_file(const std::filesystem::path& file);

/// `content` of `file` as a JSON object. Throws Error(kInput).
nlohmann::json parse_model_json(const std::string& content, const std::string& file);

/// The JSON object of a file; nothing where there is no such file. Throws Error(kInput) as above.
std::optional<nlohmann::json> read_model_json(const std::filesystem::path& file);

/// A token of tokenizer_config.json, written as "text" or {"content": "text"}; nothing where absent or null.
std::optional<std::string> special_token_text(const nlohmann::json& config, const std::string& key,
                                              const std::string& file);

}  // namespace foresight
