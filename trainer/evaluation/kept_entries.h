// Which entries a policy holds at each eviction: those of the prompt, the candidates that it replaces, and
// those next to the golden plan's cut.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"

namespace foresight {

/// Sums of one policy over evictions of traces; divide by the counts beside them.
struct KeptEntries {
  /// Share of the entries next to the golden plan's cut that the policy decides as the plan does.
  double boundary = 0;
  std::int64_t boundary_evictions = 0;  ///< 0 where budget = window: the plan has no choice
  /// Share of the candidates kept at an eviction that were not candidates at the one before; as many of the
  /// earlier ones were evicted.
  double churn = 0;
  std::int64_t churn_evictions = 0;
  /// [2, S] float64: share of the prompt's entries that are live after each eviction, summed over the traces
  /// that have a prompt, and the number of these traces. Undefined: no evictions.
  torch::Tensor prompt_live;
  /// [K] float64: share of (prompt token, layer) pairs that at least 1, 2, .. K KV heads hold after the last
  /// eviction, summed over the traces that have a prompt.
  torch::Tensor prompt_held_by;

  void add(const KeptEntries& other);
  /// As tensors for other ranks, and back. unpack() takes kPackedTensors of them.
  std::vector<torch::Tensor> pack() const;
  static KeptEntries unpack(const torch::Tensor* tensors);
  static constexpr std::int64_t kPackedTensors = 3;
};

/// The entries next to the golden plan's cut at one eviction of a layer.
struct GoldenCut {
  torch::Tensor evicted;  ///< [N, K, h] int64: the h highest-ranked that it evicts, positions
  torch::Tensor kept;     ///< [N, K, h] int64: the h lowest-ranked that it keeps; -1: fewer are open
};

/// Entries on each side of the golden plan's cut that count: half a window, at least one.
std::int64_t cut_entries(const CacheSize& size);

/// Counts for `policies` x N rows (row p * N + n: policy p on trace n), whose traces have `length` tokens.
class KeptEntriesCounter {
 public:
  /// `prompt_tokens`: of each of the N traces; 0: none.
  KeptEntriesCounter(const std::vector<std::int64_t>& prompt_tokens, const CacheSize& size,
                     std::int64_t policies, std::int64_t layers, std::int64_t kv_heads, std::int64_t length);

  /// One eviction of a layer: `evicted` [R, K, W] cache indices, `kept` [P, N, K, B - W] positions of the
  /// candidates that stay, ascending.
  void observe(const EvictionView& view, const torch::Tensor& evicted, const torch::Tensor& kept,
               const GoldenCut& cut);

  /// One entry per policy, summed over the N traces.
  std::vector<KeptEntries> results() const;

 private:
  void count_prompt(const EvictionView& view, const torch::Tensor& kept);

  CacheSize size_;
  std::int64_t policies_, traces_, layers_, kv_heads_, steps_;
  torch::Tensor prompt_;    // [N] int64
  torch::Tensor boundary_;  // [P] float64, summed over traces, steps, layers
  torch::Tensor churn_;     // [P]
  torch::Tensor live_;      // [P, S] share, summed over traces and layers
  torch::Tensor held_by_;   // [P, K] share, summed over traces and layers
};

}  // namespace foresight
