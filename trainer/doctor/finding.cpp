#include "trainer/doctor/finding.h"

#include <algorithm>

#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::size_t kSubjectWidth = 12;
constexpr std::size_t kTextBytes = 1000;

const char* name_of(FindingLevel level) {
  switch (level) {
    case FindingLevel::kWarning:
      return "warning";
    case FindingLevel::kFault:
      return "fault";
    case FindingLevel::kOk:
      break;
  }
  return "ok";
}

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 0, ' ');
}

}  // namespace

std::size_t count_of(const Findings& findings, FindingLevel level) {
  return static_cast<std::size_t>(std::count_if(
      findings.begin(), findings.end(), [level](const Finding& finding) { return finding.level == level; }));
}

std::string findings_text(const Findings& findings) {
  constexpr std::size_t kLevelWidth = 7;
  std::string text;
  for (const Finding& finding : findings) {
    text += concat(padded(name_of(finding.level), kLevelWidth), "  ", padded(finding.subject, kSubjectWidth),
                   "  ", one_line(finding.text, kTextBytes), "\n");
  }
  return text + concat(count_of(findings, FindingLevel::kFault), " faults, ",
                       count_of(findings, FindingLevel::kWarning), " warnings\n");
}

nlohmann::ordered_json findings_json(const Findings& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"level", name_of(finding.level)},
                    {"subject", finding.subject},
                    {"text", one_line(finding.text, kTextBytes)}});
  }
  return {{"findings", list},
          {"warnings", count_of(findings, FindingLevel::kWarning)},
          {"faults", count_of(findings, FindingLevel::kFault)}};
}

}  // namespace foresight
