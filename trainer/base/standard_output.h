// Results on stdout. Nothing else writes there (scripts/check_sources.py).
#pragma once

#include <string_view>

namespace foresight {

/// Writes all of `text` to stdout at once. Throws Error(kResource) naming the cause if stdout is full, closed
/// or no longer read by anyone.
void print(std::string_view text);

}  // namespace foresight
