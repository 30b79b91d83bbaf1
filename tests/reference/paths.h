// Where the fixtures lie, from wherever a test is started.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace foresight {

/// The repository: FORESIGHT_SOURCE_DIR, or two folders above this file.
inline std::filesystem::path source_folder() {
  if (const char* folder = std::getenv("FORESIGHT_SOURCE_DIR")) return folder;
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
}

inline std::filesystem::path reference_folder() {
  return source_folder() / "tests" / "reference";
}

/// The real model's folder; it need not exist.
inline std::filesystem::path smollm2_folder() {
  return source_folder() / "models" / "SmolLM2-135M-Instruct";
}

}  // namespace foresight
