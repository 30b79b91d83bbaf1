// Which evictions of which traces are learned from.
#pragma once

#include <cstdint>
#include <vector>

namespace foresight {

/// Evictions of one trace, by their step.
struct TraceSample {
  std::int64_t trace = 0;
  std::vector<std::int64_t> evictions;
};

/// What training step `step` learns from: `traces_per_step` traces in an order shuffled anew each epoch, and
/// of each `evictions_per_trace` (0: all) of its `available` ones [trace], drawn without replacement.
std::vector<TraceSample> samples_of_step(std::int64_t step, std::int64_t traces_per_step,
                                         std::int64_t evictions_per_trace,
                                         const std::vector<std::vector<std::int64_t>>& available,
                                         std::uint64_t seed);

/// `count` of the `steps` evictions of a trace, ascending: one drawn from each of `count` equal parts. All of
/// them where count >= steps.
std::vector<std::int64_t> spread_evictions(std::int64_t steps, std::int64_t count, std::int64_t trace,
                                           std::uint64_t seed);

/// Evictions of all samples.
std::int64_t evictions_of(const std::vector<TraceSample>& samples);

}  // namespace foresight
