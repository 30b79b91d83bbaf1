// A tiny model that says something else of itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/base/files.h"

namespace foresight {

/// Puts `changes` on top of the config.json of the model in the folder `model`; returns the whole.
inline nlohmann::json change_model_config(const std::filesystem::path& model, const nlohmann::json& changes) {
  auto config = nlohmann::json::parse(read_file(model / "config.json"));
  config.update(changes);
  write_file_atomically(model / "config.json", config.dump());
  return config;
}

}  // namespace foresight
