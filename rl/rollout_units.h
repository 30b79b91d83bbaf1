// How the rollouts of a step are cut into pieces that go through the model together, each on one rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace foresight {

/// Copies [first_copy, first_copy + copies) of the rollouts of each of these traces of the same length.
struct RolloutUnit {
  std::vector<std::size_t> traces;  ///< places among the step's traces
  std::int64_t first_copy = 0, copies = 0;

  std::int64_t rows() const { return static_cast<std::int64_t>(traces.size()) * copies; }
  bool operator==(const RolloutUnit&) const = default;
};

/// The rollouts of a step's traces of these `lengths`, `group_size` of each, in units of at most `most` rows:
/// several groups if they fit, otherwise parts of one. Shorter traces first. The units depend only on the
/// arguments, so that the rows of each pass, and with them its rounding, are the same on any number of ranks.
std::vector<RolloutUnit> rollout_units(const std::vector<std::int64_t>& lengths, std::int64_t group_size,
                                       std::int64_t most);

}  // namespace foresight
