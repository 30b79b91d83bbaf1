#include "trainer/report/policy_style.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace foresight {
namespace {

constexpr std::size_t kLabelBytes = 16;

const std::vector<std::pair<std::string, PolicyStyle>>& styles() {
  using enum Marker;
  static const std::vector<std::pair<std::string, PolicyStyle>> all = {
      {"full", {"full", "full", "p-full", kPlus, false, true}},
      {"golden", {"golden", "golden", "p-golden", kDiamond, false, true}},
      {"grpo", {"supervised + RL", "supervised + RL", "p-grpo", kSquare, true, false}},
      {"supervised", {"supervised", "supervised", "p-supervised", kCircle, true, false}},
      {"rkv", {"R-KV", "R-KV", "p-rkv", kTriangle, false, false}},
      {"vase", {"VaSE", "VaSE", "p-vase", kCircle, false, false}},
      {"snapkv", {"SnapKV", "SnapKV", "p-snapkv", kTriangleDown, false, false}},
      {"h2o", {"H2O", "H2O", "p-h2o", kCross, false, false}},
      {"tova", {"TOVA", "TOVA", "p-tova", kDiamond, false, false}},
      {"keydiff", {"KeyDiff", "KeyDiff", "p-keydiff", kPlus, false, false}},
      {"streaming_llm", {"StreamingLLM", "StreamingLLM", "p-streaming", kSquare, false, false}},
      {"random", {"random", "random", "p-random", kCircle, false, false}},
      {"random_protected", {"random, prompt kept", "random, prompt", "p-random", kPlus, false, false}},
      {"recency_protected", {"newest, prompt kept", "newest, prompt", "p-streaming", kCross, false, false}}};
  return all;
}

/// The last two parts of a path, which tell two scorers' files apart.
std::string short_path(const std::string& path) {
  const std::size_t last = path.rfind('/');
  if (last == std::string::npos || last == 0) return path;
  const std::size_t before = path.rfind('/', last - 1);
  return before == std::string::npos ? path : path.substr(before + 1);
}

/// The first bytes of UTF-8 text, cut between characters.
std::string cut(const std::string& text) {
  if (text.size() <= kLabelBytes) return text;
  std::size_t end = kLabelBytes - 2;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "\u2026";
}

}  // namespace

const std::vector<std::string>& known_policies() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, style] : styles()) all.push_back(name);
    return all;
  }();
  return names;
}

PolicyStyle policy_style(const std::string& policy) {
  const auto found = std::find_if(styles().begin(), styles().end(),
                                  [&](const auto& entry) { return entry.first == policy; });
  if (found != styles().end()) return found->second;
  const std::string name = short_path(policy);
  return {name, cut(name), "p-other", Marker::kTriangle, true, false};
}

}  // namespace foresight
