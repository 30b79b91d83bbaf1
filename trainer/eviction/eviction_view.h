// What every eviction policy may look at.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/kernels/window_work.h"

namespace foresight {

/// One evicting layer at one eviction step (docs/method.md, "The cache" and "The scorer"). R rows, K KV
/// heads, g query heads per KV head, N = budget + window live entries in order of age, W = window, d head
/// dimension. Entries 0 .. budget-1 are the candidates; the newest W are never evicted. Everything is
/// detached.
struct EvictionView {
  std::int64_t layer = 0;  ///< among the evicting ones: ModelShape::evicting_layer_numbers()[layer]
  std::int64_t step = 0;
  std::int64_t budget = 0;
  std::int64_t window = 0;
  torch::Tensor keys;               ///< [R, K, N, d] after RoPE, in the cache's type
  torch::Tensor values;             ///< [R, K, N, d]
  torch::Tensor positions;          ///< [R, K, N] int64, ascending
  torch::Tensor window_statistics;  ///< [R, K, g, 6, N] float32, kernels::Statistic: of the probabilities of
                                    ///< the window's W queries over the live entries, causal inside the
                                    ///< window
  torch::Tensor queries;            ///< [R, K, g, W, d] float32, the window's, after RoPE
  AttentionRule rule;               ///< what their attention goes through
  torch::Tensor frequencies;        ///< [r / 2] float32, angles per position of the first r dimensions of a
                                    ///< key; undefined: positions do not turn this layer's keys
  torch::Tensor cumulative;         ///< [R, K, g, N] since the entry was cached, this window included
  torch::Tensor decayed;            ///< [R, K, g, N] decayed by 0.9 per window, this window included

  torch::Tensor prompt_tokens;      ///< [R] int64 on the CPU: tokens of each row's prompt; undefined: none
  torch::Tensor protected_entries;  ///< [R] int64 on the CPU: so many first candidates are never evicted;
                                    ///< undefined: none

  /// Tokens that were read so far, the window's included: the newest has position seen() - 1.
  std::int64_t seen() const { return CacheSize{.budget = budget, .window = window}.seen_at_step(step); }

  /// [R, K, g, N]: one of the window's statistics; it shares the memory.
  torch::Tensor statistic(kernels::Statistic which) const { return window_statistics.select(3, which); }

  /// The view of rows first .. first+count-1; it shares the memory. Tensors that are not defined stay so.
  EvictionView rows(std::int64_t first, std::int64_t count) const;
};

/// softmax(q k^T / sqrt(d)) of the window's last `count` queries over the live entries: [R, K, g, count, N]
/// float32, computed again, as a cache keeps no probabilities. Throws Error(kInternal) unless 1 <= count <= W
/// and the view has the queries and keys of its window.
torch::Tensor attention_of_last(const EvictionView& view, std::int64_t count);

/// Chooses what goes: [R, K, W] int64 cache indices below `budget`, distinct per head, in order of eviction
/// rank.
using EvictionSelector = std::function<torch::Tensor(const EvictionView&)>;

}  // namespace foresight
