// Recorded attention and golden plans of recorded traces.
#pragma once

#include <torch/types.h>

#include <vector>

#include "golden_eviction/golden_plan.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// The recorded (float16) attention of every layer in windows of `window` tokens: [K, ceil(L / window), L]
/// float32 each. Throws Error(kInput) for a damaged file, Error(kConfig) when the window is no multiple of
/// the recorded block.
std::vector<torch::Tensor> recorded_attention(const RecordedTrace& trace, std::int64_t window);

/// The golden plan of one layer of a trace, from its stored (float16) attention.
GoldenPlan golden_plan_of(const RecordedTrace& trace, std::int64_t layer, const CacheSize& size);

/// What a plan evicts of one trace, by layer: original positions [K, S, W].
struct RecordedEvictions {
  std::vector<torch::Tensor> layers;
};
/// What golden eviction evicts of a trace.
RecordedEvictions golden_evictions(const RecordedTrace& trace, const CacheSize& size);

/// A selector that follows plans: plans[n] for row c * N + n of any copy c.
EvictionSelector golden_selector(std::vector<RecordedEvictions> plans);

}  // namespace foresight
