// Small string helpers (no fmt: torch bundles another version than spdlog's).
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// The arguments, streamed one after the other into a string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// The items with `separator` between them.
template <class Range>
std::string join(const Range& items, const std::string& separator) {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << separator;
    out << item;
    first = false;
  }
  return out.str();
}

/// Text of a file, safe to show in a message: on one line, without anything that moves a terminal's cursor.
/// Control characters, line separators and bytes that are not UTF-8 are written as escapes (\n, \x1b,
/// \u2028); text longer than `most_bytes` ends in "...".
std::string one_line(std::string_view text, std::size_t most_bytes = 120);

}  // namespace foresight
