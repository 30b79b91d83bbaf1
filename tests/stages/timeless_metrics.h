// Runs of the training stages, and what they leave, without a clock's figures.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

/// The rows of a metrics.jsonl without what a clock says.
inline std::vector<nlohmann::json> timeless_metrics(const std::filesystem::path& file) {
  std::vector<nlohmann::json> rows;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    rows.push_back(nlohmann::json::parse(line));
    rows.back().erase("step_time");
    rows.back().erase("tokens_per_second");
  }
  return rows;
}

}  // namespace foresight
