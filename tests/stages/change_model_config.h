// A tiny model that says something else of itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/base/files.h"

namespace foresight {

/// Sets `key` in the config.json of the model in the folder `model`.
inline void change_model_config(const std::filesystem::path& model, const std::string& key,
                                std::int64_t value) {
  auto config = nlohmann::json::parse(read_file(model / "config.json"));
  config[key] = value;
  write_file_atomically(model / "config.json", config.dump());
}

}  // namespace foresight
