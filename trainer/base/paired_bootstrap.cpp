#include "trainer/base/paired_bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "trainer/base/error.h"
#include "trainer/base/random.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// The value below which `share` of the sorted values lie, interpolated.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Interval paired_bootstrap(const std::vector<double>& sums, const std::vector<std::int64_t>& tokens,
                          std::uint64_t seed, std::int64_t draws) {
  const auto count = static_cast<std::int64_t>(sums.size());
  const std::int64_t total = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  if (sums.size() != tokens.size() || total < 1 || draws < 1) {
    throw Error(ErrorKind::kInternal,
                concat("bootstrap: ", sums.size(), " sums, ", tokens.size(), " token counts of ", total,
                       " tokens, ", draws, " draws: expected as many counts as sums, a token and a draw"));
  }
  RandomStream random(seed, "bootstrap");
  std::vector<double> drawn;
  drawn.reserve(static_cast<std::size_t>(draws));
  while (static_cast<std::int64_t>(drawn.size()) < draws) {
    double sum = 0;
    std::int64_t weight = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto trace = static_cast<std::size_t>(random.below(count));
      sum += sums[trace];
      weight += tokens[trace];
    }
    if (weight > 0) drawn.push_back(sum / static_cast<double>(weight));  // a draw may hit empty traces only
  }
  std::sort(drawn.begin(), drawn.end());
  return {.value = std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(total),
          .low = quantile(drawn, 0.025),
          .high = quantile(drawn, 0.975)};
}

}  // namespace foresight
