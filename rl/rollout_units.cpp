#include "rl/rollout_units.h"

#include <algorithm>
#include <map>

namespace foresight {

std::vector<RolloutUnit> rollout_units(const std::vector<std::int64_t>& lengths, std::int64_t group_size,
                                       std::int64_t most) {
  std::map<std::int64_t, std::vector<std::size_t>> by_length;
  for (std::size_t i = 0; i < lengths.size(); ++i) by_length[lengths[i]].push_back(i);
  const auto groups = static_cast<std::size_t>(std::max<std::int64_t>(1, most / group_size));
  const std::int64_t copies = std::min(group_size, most);
  std::vector<RolloutUnit> units;
  for (const auto& [length, traces] : by_length) {
    for (std::size_t first = 0; first < traces.size(); first += groups) {
      const auto begin = traces.begin() + static_cast<std::ptrdiff_t>(first),
                 end = traces.begin() + static_cast<std::ptrdiff_t>(std::min(traces.size(), first + groups));
      for (std::int64_t copy = 0; copy < group_size; copy += copies)
        units.push_back({{begin, end}, copy, std::min(copies, group_size - copy)});
    }
  }
  return units;
}

}  // namespace foresight
