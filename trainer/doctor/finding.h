// What `foresight doctor` finds, and how it is printed.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

enum class FindingLevel { kOk, kWarning, kFault };

/// One line: a warning says what it means, a fault what to do.
struct Finding {
  FindingLevel level = FindingLevel::kOk;
  std::string subject;  ///< "threads", "GPU"
  std::string text;     ///< one line
};
using Findings = std::vector<Finding>;

/// A line for each finding, and one with their numbers. The text ends with a newline.
std::string findings_text(const Findings& findings);
/// {"findings": [{"level": "ok" | "warning" | "fault", "subject", "text"}], "warnings": n, "faults": n}
nlohmann::ordered_json findings_json(const Findings& findings);
/// How many findings have that level.
std::size_t count_of(const Findings& findings, FindingLevel level);

}  // namespace foresight
