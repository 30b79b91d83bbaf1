#include "trainer/supervised/eviction_samples.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "trainer/base/random.h"
#include "trainer/training/training_session.h"

namespace foresight {

std::vector<TraceSample> samples_of_step(std::int64_t step, std::int64_t traces_per_step,
                                         std::int64_t evictions_per_trace,
                                         const std::vector<std::vector<std::int64_t>>& available,
                                         std::uint64_t seed) {
  std::vector<TraceSample> samples;
  const auto traces = items_of_step(step, traces_per_step, static_cast<std::int64_t>(available.size()), seed,
                                    "supervised trace order");
  for (std::size_t slot = 0; slot < traces.size(); ++slot) {
    const std::vector<std::int64_t>& own = available.at(static_cast<std::size_t>(traces[slot]));
    const auto count = static_cast<std::int64_t>(own.size());
    const std::int64_t wanted = evictions_per_trace == 0 ? count : std::min(count, evictions_per_trace);
    std::vector<std::int64_t> order = own;
    samples.push_back({traces[slot], {}});
    RandomStream random(seed, "supervised evictions", {step, static_cast<std::int64_t>(slot)});
    for (std::int64_t i = 0; i < wanted; ++i) {
      std::swap(order[static_cast<std::size_t>(i)],
                order[static_cast<std::size_t>(i + random.below(count - i))]);
      samples.back().evictions.push_back(order[static_cast<std::size_t>(i)]);
    }
  }
  return samples;
}

std::vector<std::int64_t> spread_evictions(std::int64_t steps, std::int64_t count, std::int64_t trace,
                                           std::uint64_t seed) {
  std::vector<std::int64_t> evictions(static_cast<std::size_t>(std::min(steps, count)));
  std::iota(evictions.begin(), evictions.end(), 0);
  if (count >= steps) return evictions;
  RandomStream random(seed, "cached evictions", {trace});
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = i * steps / count, end = (i + 1) * steps / count;
    evictions[static_cast<std::size_t>(i)] = first + random.below(end - first);
  }
  return evictions;
}

std::int64_t evictions_of(const std::vector<TraceSample>& samples) {
  std::int64_t evictions = 0;
  for (const TraceSample& sample : samples) evictions += static_cast<std::int64_t>(sample.evictions.size());
  return evictions;
}

}  // namespace foresight
