#include "trainer/base/paired_bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "trainer/base/error.h"
#include "trainer/base/random.h"
#include "trainer/base/text.h"

namespace foresight {

double sorted_quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval ratio_bootstrap(const std::vector<double>& sums, const std::vector<double>& weights,
                         std::uint64_t seed, std::int64_t draws) {
  const auto count = static_cast<std::int64_t>(sums.size());
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (sums.size() != weights.size() || !(total > 0) || draws < 1) {
    throw Error(
        ErrorKind::kInternal,
        concat("bootstrap: ", sums.size(), " sums, ", weights.size(), " weights of ", total, " together, ",
               draws, " draws: expected as many weights as sums, a positive sum and a draw"));
  }
  RandomStream random(seed, "bootstrap");
  std::vector<double> drawn;
  drawn.reserve(static_cast<std::size_t>(draws));
  while (static_cast<std::int64_t>(drawn.size()) < draws) {
    double sum = 0, weight = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto one = static_cast<std::size_t>(random.below(count));
      sum += sums[one];
      weight += weights[one];
    }
    if (weight > 0) drawn.push_back(sum / weight);  // a draw may hold only traces without weight
  }
  std::sort(drawn.begin(), drawn.end());
  return {.value = std::accumulate(sums.begin(), sums.end(), 0.0) / total,
          .low = sorted_quantile(drawn, 0.025),
          .high = sorted_quantile(drawn, 0.975)};
}

Interval paired_bootstrap(const std::vector<double>& sums, const std::vector<std::int64_t>& tokens,
                          std::uint64_t seed, std::int64_t draws) {
  return ratio_bootstrap(sums, std::vector<double>(tokens.begin(), tokens.end()), seed, draws);
}

}  // namespace foresight
