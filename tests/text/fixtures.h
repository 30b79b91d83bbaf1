// Fixture files and temporary model folders for the text tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/input_error.h"

namespace foresight {

/// The repository's root, from the environment that ctest sets.
inline std::filesystem::path source_folder() {
  const char* folder = std::getenv("FORESIGHT_SOURCE_DIR");
  return folder == nullptr ? std::filesystem::current_path() : std::filesystem::path(folder);
}

inline std::filesystem::path fixture_folder() {
  return source_folder() / "tests/reference/tokenizer";
}

inline nlohmann::json read_fixture(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) FAIL(file.string() + " cannot be read; set FORESIGHT_SOURCE_DIR to the repository's root");
  return nlohmann::json::parse(in);
}

}  // namespace foresight
