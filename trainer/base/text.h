// Small string helpers (no fmt: torch bundles another version than spdlog's).
#pragma once

#include <sstream>
#include <string>
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

}  // namespace foresight
