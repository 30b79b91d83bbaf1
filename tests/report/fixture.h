// The invented run of tests/reference/report, and its page.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/reference/paths.h"

namespace foresight {

inline std::filesystem::path report_fixture() {
  return reference_folder() / "report";
}

inline nlohmann::json fixture_evaluation() {
  return nlohmann::json::parse(content_of(report_fixture() / "evaluation.json"));
}

/// The least that an evaluation holds.
inline nlohmann::json small_evaluation() {
  return nlohmann::json::parse(R"({"budget": 8, "window": 4, "policies": {"full": {"loss": 1.5}}})");
}

/// How often `part` stands in `text`.
inline int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

}  // namespace foresight
