// What a policy keeps: how much of full KV's later attention falls on entries that it still holds, and how
// far it agrees with the golden plan.
#pragma once

#include <torch/types.h>

#include <vector>

#include "golden_eviction/attention_strips.h"
#include "golden_eviction/recorded_plan.h"
#include "trainer/config/cache_size.h"
#include "trainer/evaluation/kept_entries.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Sums of one policy over evictions; divide by `evictions`.
struct KeptAttention {
  /// [layers, KV heads] float64: share of full KV's attention in the window after an eviction that falls on
  /// entries the cache holds then (recorded attention, so that policies are compared on the same weights).
  torch::Tensor mass;
  /// Share of the candidates kept by the golden plan that this policy keeps too, mean over layers and heads.
  double golden_overlap = 0;
  std::int64_t evictions = 0;  ///< eviction steps of traces
  KeptEntries entries;         ///< which entries it holds

  void add(const KeptAttention& other);
};

/// Watches a pass of `policies` x N rows (row p * N + n: policy p on trace n). For each trace it has the
/// entries that the golden plan (nearly) evicts, those it now holds, and strips of recorded attention.
class EvictionWatcher {
 public:
  /// The traces have one length and recorded attention. `strip_bytes`: see AttentionStrips. Throws
  /// Error(kInput) when it cannot be read.
  EvictionWatcher(const std::vector<const RecordedTrace*>& traces, const CacheSize& size,
                  std::int64_t policies, std::int64_t layers, std::int64_t kv_heads,
                  std::int64_t strip_bytes = kStripBytes);

  /// `inner`, watched. A layer's steps must come in order from the first; otherwise it throws
  /// Error(kInternal). It also throws what AttentionStrips throws. The watcher must outlive the pass.
  EvictionSelector watching(EvictionSelector inner);

  /// One entry per policy, summed over the N traces.
  std::vector<KeptAttention> results() const;
  /// [policies, N, L]: share of (layer, KV head) pairs that hold each position after the last eviction.
  torch::Tensor held() const;

 private:
  void observe(const EvictionView& view, const torch::Tensor& evicted);
  /// The next step of the golden plan of a layer.
  struct GoldenStep {
    torch::Tensor kept;  // [N, K, B - W] int64: what it keeps of its candidates
    GoldenCut cut;
  };
  GoldenStep golden_step(std::int64_t layer);

  CacheSize size_;
  std::int64_t policies_, traces_, layers_, kv_heads_, length_;
  AttentionStrips attention_;
  /// One layer of the golden plans of all traces.
  struct GoldenLayer {
    torch::Tensor evicted;  // [N, K, S, W] int16 or int32
    torch::Tensor nearest;  // [N, K, S, h] of the same type: RecordedCut::nearest_kept
    torch::Tensor live;     // [N, K, B] int64, the candidates of the next step, ascending
    std::int64_t step = 0;  // the next one
  };
  std::vector<GoldenLayer> golden_;
  KeptEntriesCounter entries_;
  torch::Tensor mass_;     // [P, layers, K] float64
  torch::Tensor overlap_;  // [P] float64, summed over traces, steps, layers
  torch::Tensor held_;     // [P, N, L] float32 counts after the last step
};

}  // namespace foresight
