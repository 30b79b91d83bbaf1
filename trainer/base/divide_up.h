// Division of counts.
#pragma once

#include <cstdint>

namespace foresight {

/// How many parts of `divisor` > 0 a `number` >= 0 has, the last of which may be shorter.
constexpr std::int64_t divide_up(std::int64_t number, std::int64_t divisor) {
  return (number + divisor - 1) / divisor;
}

}  // namespace foresight
