// What every eviction policy may look at.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

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
  torch::Tensor keys;              ///< [R, K, N, d] after RoPE, in the cache's type
  torch::Tensor values;            ///< [R, K, N, d]
  torch::Tensor positions;         ///< [R, K, N] int64, ascending
  torch::Tensor window_attention;  ///< [R, K, g, W, N] float32: softmax of the window's W queries over the
                                   ///< live entries, causal inside the window
  torch::Tensor window_sum;        ///< [R, K, g, N] sum over the window's queries
  torch::Tensor cumulative;        ///< [R, K, g, N] since the entry was cached, this window included
  torch::Tensor decayed;           ///< [R, K, g, N] decayed by 0.9 per window, this window included

  torch::Tensor prompt_tokens;      ///< [R] int64 on the CPU: tokens of each row's prompt; undefined: none
  torch::Tensor protected_entries;  ///< [R] int64 on the CPU: so many first candidates are never evicted;
                                    ///< undefined: none

  /// The view of rows first .. first+count-1; it shares the memory. Tensors that are not defined stay so.
  EvictionView rows(std::int64_t first, std::int64_t count) const {
    EvictionView part = *this;
    for (torch::Tensor* tensor :
         {&part.keys, &part.values, &part.positions, &part.window_attention, &part.window_sum,
          &part.cumulative, &part.decayed, &part.prompt_tokens, &part.protected_entries}) {
      if (tensor->defined()) *tensor = tensor->narrow(0, first, count);
    }
    return part;
  }
};

/// Chooses what goes: [R, K, W] int64 cache indices below `budget`, distinct per head, in order of eviction
/// rank.
using EvictionSelector = std::function<torch::Tensor(const EvictionView&)>;

}  // namespace foresight
