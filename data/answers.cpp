#include "data/answers.h"

#include <algorithm>

namespace foresight {
namespace {

bool is_digit(char letter) {
  return letter >= '0' && letter <= '9';
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

void remove_all(std::string& text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at))
    text.erase(at, part.size());
}

/// The content of the brace that opens at `open`; nothing where it never closes.
std::optional<std::string_view> braced(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '{') ++depth;
    if (text[i] == '}' && --depth == 0) return text.substr(open + 1, i - open - 1);
  }
  return std::nullopt;
}

/// "\text{apples}" -> "apples".
void unwrap_text_commands(std::string& text) {
  constexpr std::string_view kCommand = "\\text{";
  for (std::size_t at = text.find(kCommand); at != std::string::npos; at = text.find(kCommand, at)) {
    const auto content = braced(text, at + kCommand.size() - 1);
    if (!content) return;
    const std::string inner(*content);
    text.replace(at, kCommand.size() + inner.size() + 1, inner);
  }
}

/// Removes commas that stand before three digits: "1,234,567".
void remove_thousands_commas(std::string& text) {
  for (std::size_t i = 1; i + 3 < text.size(); ++i) {
    if (text[i] != ',' || !is_digit(text[i - 1])) continue;
    const bool three = is_digit(text[i + 1]) && is_digit(text[i + 2]) && is_digit(text[i + 3]);
    const bool ends = i + 4 >= text.size() || !is_digit(text[i + 4]);
    if (three && ends) text.erase(i--, 1);
  }
}

/// Leading zeros and the zeros behind a decimal point go; anything but a plain decimal number stays.
std::string shortest_number(const std::string& text) {
  const bool negative = !text.empty() && text[0] == '-';
  std::string digits = text.substr(negative || (!text.empty() && text[0] == '+') ? 1 : 0);
  const auto point = digits.find('.');
  const bool plain =
      !digits.empty() && digits != "." &&
      std::all_of(digits.begin(), digits.end(), [](char c) { return is_digit(c) || c == '.'; }) &&
      (point == std::string::npos || digits.find('.', point + 1) == std::string::npos);
  if (!plain) return text;
  if (point != std::string::npos) {
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty() || digits[0] == '.') digits.insert(0, "0");
  return negative && digits != "0" ? "-" + digits : digits;
}

}  // namespace

std::optional<std::string> final_answer(std::string_view text) {
  constexpr std::string_view kBoxed = "\\boxed{", kMark = "####";
  if (const std::size_t at = text.rfind(kBoxed); at != std::string_view::npos) {
    if (const auto content = braced(text, at + kBoxed.size() - 1)) return std::string(trimmed(*content));
  }
  if (const std::size_t at = text.rfind(kMark); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at + kMark.size());
    return std::string(trimmed(rest.substr(0, rest.find('\n'))));
  }
  return std::nullopt;
}

std::string normalized_answer(std::string_view answer) {
  std::string text(trimmed(answer));
  unwrap_text_commands(text);
  remove_all(text, "\\,");
  remove_all(text, "\\!");
  remove_all(text, "\\$");
  remove_all(text, "$");
  text = std::string(trimmed(text));
  if (!text.empty() && text.back() == '.') text.pop_back();
  remove_thousands_commas(text);
  return shortest_number(text);
}

bool same_answer(std::string_view first, std::string_view second) {
  const std::string normalized = normalized_answer(first);
  return !normalized.empty() && normalized == normalized_answer(second);
}

}  // namespace foresight
