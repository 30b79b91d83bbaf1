// Results on stdout. Nothing else writes there (scripts/check_sources.py).
#pragma once

#include <string_view>

namespace foresight {

/// Writes `text` to stdout, now and whole. Throws Error(kResource) naming the cause where stdout is full,
/// closed or read by nobody any more.
void print(std::string_view text);

}  // namespace foresight
