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

/// The golden plan of one layer of a recorded trace, whose file is opened once for all of them. Throws
/// Error(kInput) for a damaged file, Error(kConfig) when the window is no multiple of the recorded block or
/// the budget none of the window.
/// `prompt_tokens`: of the trace, where size.protect_prompt asks for them.
GoldenPlan golden_plan_of(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                          std::int64_t prompt_tokens = 0);

/// C of every position of one layer at the evictions `steps`: [n, K, L] float32. Throws as golden_plan_of(),
/// and as long_term_contribution().
torch::Tensor recorded_contribution(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                                    const std::vector<std::int64_t>& steps);

/// o = -C of the candidates of one eviction, high: evict first. `contribution` [K, L] at that eviction,
/// `positions` [K, B] int64 of the candidates -> [K, B] float32.
torch::Tensor oracle_scores(const torch::Tensor& contribution, const torch::Tensor& positions);

/// What a trace's golden plans evict, by layer: [K, S, W] original positions in order of eviction rank, int16
/// where they fit, int32 else.
using RecordedEvictions = std::vector<torch::Tensor>;

/// The golden evictions of every layer of a trace; throws as golden_plan_of().
RecordedEvictions golden_evictions(const RecordedTrace& trace, const CacheSize& size);
/// Those of several traces.
std::vector<RecordedEvictions> golden_evictions(const std::vector<const RecordedTrace*>& traces,
                                                const CacheSize& size);

/// One layer of a golden plan and what it keeps by a hair.
struct RecordedCut {
  torch::Tensor evicted;       ///< [K, S, W] as in RecordedEvictions
  torch::Tensor nearest_kept;  ///< [K, S, count] original positions of the kept candidates of lowest C,
                               ///< lowest first; ties: the older first; -1 where fewer can be evicted
};

/// The golden plan of every layer of a trace, with the `count` entries that each eviction would take next;
/// throws as golden_plan_of().
std::vector<RecordedCut> golden_cuts(const RecordedTrace& trace, const CacheSize& size, std::int64_t count);

/// A selector that evicts what was recorded: evictions[n] for row c * N + n of any copy c.
EvictionSelector golden_selector(std::vector<RecordedEvictions> evictions);

}  // namespace foresight
