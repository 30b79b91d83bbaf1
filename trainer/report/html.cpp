#include "trainer/report/html.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace foresight {
namespace {

constexpr const char* kMissing = "\u2013";
constexpr const char* kMinus = "\u2212";

/// std::to_chars: unlike printf, the same under every locale. 400 characters hold any double.
template <class... How>
std::string plain(double value, How... how) {
  std::array<char, 400> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, how...);
  return {buffer.data(), result.ptr};
}

bool rounds_to_zero(const std::string& digits) {
  return std::all_of(digits.begin(), digits.end(), [](char c) { return c == '0' || c == '.' || c == '-'; });
}

/// A leading hyphen as a minus sign, and none before a zero.
std::string with_minus_sign(std::string digits) {
  if (!digits.starts_with('-')) return digits;
  digits.erase(0, 1);
  return rounds_to_zero(digits) ? digits : kMinus + digits;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
      out += "\uFFFD";
    } else {
      out += c;
    }
  }
  return out;
}

std::string format_fixed(double value, int digits) {
  if (!std::isfinite(value)) return kMissing;
  return with_minus_sign(plain(value, std::chars_format::fixed, digits));
}

std::string format_signed(double value, int digits) {
  const std::string text = format_fixed(value, digits);
  return std::isfinite(value) && value > 0 && !rounds_to_zero(text) ? "+" + text : text;
}

std::string format_percent(double share) {
  return std::isfinite(share) ? format_fixed(100 * share, 1) + "\u00A0%" : kMissing;
}

std::string format_tick(double value) {
  if (!std::isfinite(value)) return kMissing;
  const double size = std::fabs(value);
  if (size != 0 && (size < 1e-5 || size >= 1e6))
    return with_minus_sign(plain(value, std::chars_format::general, 4));
  // Four digits after the first that counts, less the zeros at the end.
  const int decimals = size == 0 ? 0 : std::clamp(3 - static_cast<int>(std::floor(std::log10(size))), 0, 9);
  std::string text = plain(value, std::chars_format::fixed, decimals);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  return with_minus_sign(text);
}

std::string format_count(double value) {
  if (!std::isfinite(value)) return kMissing;
  std::string digits = plain(std::fabs(value), std::chars_format::fixed, 0);
  for (auto end = static_cast<std::ptrdiff_t>(digits.size()) - 3; end > 0; end -= 3)
    digits.insert(static_cast<std::size_t>(end), "\u202F");
  return value < 0 && !rounds_to_zero(digits) ? kMinus + digits : digits;
}

std::string format_memory(double bytes) {
  if (!std::isfinite(bytes)) return kMissing;
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (std::fabs(bytes) >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  const int digits = unit == 0 || std::fabs(bytes) >= 100 ? 0 : std::fabs(bytes) >= 10 ? 1 : 2;
  return format_fixed(bytes, digits) + "\u00A0" + kUnits[unit];
}

std::string format_exact(double value) {
  return plain(value);
}

std::string format_coordinate(double value) {
  std::string text = plain(value, std::chars_format::fixed, 1);
  if (text.ends_with(".0")) text.erase(text.size() - 2);
  return text == "-0" ? "0" : text;
}

}  // namespace foresight
