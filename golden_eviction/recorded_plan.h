// Golden plans of recorded traces, from their stored (float16) attention: one KV head's attention and one
// layer's plan are in memory at a time.
#pragma once

#include <torch/types.h>

#include <vector>

#include "data/oracle_file.h"
#include "golden_eviction/golden_plan.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// The golden plan of one layer of a recorded trace; the file is opened once for all layers. `prompt_tokens`
/// are those of the trace, which are only needed for size.protect_prompt. Throws Error(kInput) for a damaged
/// file, and Error(kConfig) when the window is not a multiple of the recorded block or the budget is not a
/// multiple of the window.
GoldenPlan golden_plan_of(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                          std::int64_t prompt_tokens = 0);

/// C of every position of one layer at the evictions `steps`: [n, K, L] float32. Throws as golden_plan_of(),
/// and as long_term_contribution().
torch::Tensor recorded_contribution(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                                    const std::vector<std::int64_t>& steps);

/// o = -C of the candidates of one eviction, high: evict first. `contribution` [K, L] at that eviction,
/// `positions` [K, B] int64 of the candidates -> [K, B] float32.
torch::Tensor oracle_scores(const torch::Tensor& contribution, const torch::Tensor& positions);

/// The evictions of a trace's golden plans, by layer: [K, S, W] original positions in order of eviction rank,
/// int16 if they fit, int32 otherwise.
using RecordedEvictions = std::vector<torch::Tensor>;

/// The golden evictions of every layer of a trace; throws as golden_plan_of().
RecordedEvictions golden_evictions(const RecordedTrace& trace, const CacheSize& size);
/// The golden evictions of several traces.
std::vector<RecordedEvictions> golden_evictions(const std::vector<const RecordedTrace*>& traces,
                                                const CacheSize& size);

/// One layer of a golden plan with the entries that it would evict next.
struct RecordedCut {
  torch::Tensor evicted;       ///< [K, S, W] as in RecordedEvictions
  torch::Tensor nearest_kept;  ///< [K, S, count] original positions of the kept candidates of lowest C,
                               ///< lowest first; ties: the older first; -1 if fewer can be evicted
};

/// The golden plan of every layer of a trace, with the `count` entries that each eviction would take next;
/// throws as golden_plan_of().
std::vector<RecordedCut> golden_cuts(const RecordedTrace& trace, const CacheSize& size, std::int64_t count);

/// A selector that evicts the recorded entries: evictions[n] for row c * N + n of any copy c.
EvictionSelector golden_selector(std::vector<RecordedEvictions> evictions);

}  // namespace foresight
