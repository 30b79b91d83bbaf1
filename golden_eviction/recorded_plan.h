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

/// Golden plans of every layer of a trace, from its stored (float16) attention.
std::vector<GoldenPlan> golden_plans(const RecordedTrace& trace, const CacheSize& size);

/// A selector that follows golden plans: plans[n][layer] for row c * N + n of any copy c.
EvictionSelector golden_selector(std::vector<std::vector<GoldenPlan>> plans);

}  // namespace foresight
