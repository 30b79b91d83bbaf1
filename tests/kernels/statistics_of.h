// A window's statistics by their definition, for the tests of those who read them.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <cstdint>

namespace foresight::testing {

/// Statistics [R, K, g, 6, N], as kernels::Statistic counts them, of the probabilities [R, K, g, W, N] of a
/// window's queries.
inline torch::Tensor statistics_of(const torch::Tensor& probabilities) {
  const std::int64_t window = probabilities.size(3);
  const auto sum_of_last = [&](std::int64_t queries) {
    const std::int64_t count = std::min(queries, window);
    return probabilities.narrow(3, window - count, count).sum(3);
  };
  return torch::stack({probabilities.amax(3), probabilities.amin(3), probabilities.sum(3), sum_of_last(16),
                       sum_of_last(8), sum_of_last(32)},
                      3);
}

}  // namespace foresight::testing
