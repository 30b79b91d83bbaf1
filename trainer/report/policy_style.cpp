#include "trainer/report/policy_style.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "trainer/base/distinct_names.h"
#include "trainer/base/text.h"

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

constexpr std::size_t kRunColours = 10;
constexpr std::array kFileMarkers = {Marker::kTriangle, Marker::kDiamond, Marker::kTriangleDown,
                                     Marker::kSquare,   Marker::kCircle,  Marker::kCross,
                                     Marker::kPlus};

/// True for a byte of UTF-8 that does not begin a character.
bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// UTF-8 text that is too long for a label loses its middle: names in a table differ at their ends.
std::string cut(const std::string& text) {
  if (text.size() <= kLabelBytes) return text;
  std::size_t end = kLabelBytes / 2 - 1, begin = text.size() - (kLabelBytes / 2 - 1);
  while (end > 0 && continues_character(text[end])) --end;
  while (begin < text.size() && continues_character(text[begin])) ++begin;
  return text.substr(0, end) + "\u2026" + text.substr(begin);
}

/// The style of a scorer's file that is shown as `name`, the `number`th of its page.
PolicyStyle file_style(const std::string& name, std::size_t number) {
  constexpr std::string_view kSuffix = ".safetensors";
  const std::string stem = name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
  return {name, cut(stem), "p-other", kFileMarkers.at(number % kFileMarkers.size()), true, false};
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
  return found != styles().end() ? found->second : file_style(distinct_names({policy}).front(), 0);
}

PolicyStyles::PolicyStyles(const std::vector<std::string>& policies) {
  const std::vector<std::string>& known = known_policies();
  std::vector<std::string> files;
  for (const std::string& policy : policies) {
    const bool is_file = std::find(known.begin(), known.end(), policy) == known.end();
    if (is_file && std::find(files.begin(), files.end(), policy) == files.end()) files.push_back(policy);
  }
  const std::vector<std::string> names = distinct_names(files);
  for (std::size_t i = 0; i < files.size(); ++i) files_[files[i]] = file_style(names[i], i);
}

PolicyStyle PolicyStyles::of(const std::string& policy) const {
  const auto found = files_.find(policy);
  return found == files_.end() ? policy_style(policy) : found->second;
}

PolicyStyle run_style(std::size_t number, const std::string& name) {
  return {name,
          cut(name),
          concat("r", number % kRunColours),
          kFileMarkers.at(number % kFileMarkers.size()),
          /*scorer=*/true,
          /*dashed=*/number >= kRunColours};
}

}  // namespace foresight
