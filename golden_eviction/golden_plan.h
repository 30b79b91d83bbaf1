// The golden plan: which entries an oracle evicts, from recorded future attention alone (docs/method.md,
// "Golden Eviction").
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/config/cache_size.h"

namespace foresight {

/// One layer's plan. S steps, B candidates a step.
struct GoldenPlan {
  torch::Tensor
      evicted;  ///< [K, S, W] int32, original positions in order of eviction rank (least needed first)
  torch::Tensor candidates;    ///< [K, S, B] int32, original positions, ascending
  torch::Tensor contribution;  ///< [K, S, B] float32, C of each candidate: the most attention a later window
                               ///< still gives it
};

/// Future attention of one KV head, [windows, L] float32 on the CPU, one row per window of `size.window`
/// queries. The plan writes into it.
using HeadAttention = std::function<torch::Tensor(std::int64_t head)>;

/// The plan of `heads` KV heads of a trace of `length` tokens, whose attention is asked for head by head, so
/// that no more than one need be in memory. Step s: candidates are the live entries but the newest W; the W
/// of smallest C go, ties: the older position first; the first size.protected_entries(`prompt_tokens`) never
/// go. Throws Error(kConfig) when the budget is not a multiple
/// of the window, Error(kInternal) when the shape of a head's attention does not fit.
GoldenPlan golden_plan(std::int64_t heads, std::int64_t length, const CacheSize& size,
                       std::int64_t prompt_tokens, const HeadAttention& attention_of);

/// C of every position at the evictions `steps` (n of them, in any order), whatever was evicted before:
/// [n, K, L] float32, the most attention that a window which begins at the eviction or later gives it.
/// Positions that come after the eviction hold the same maximum, which nothing asks for. `attention_of` as in
/// golden_plan(). Throws Error(kConfig), Error(kInternal) as golden_plan(), and for a step that a trace of
/// `length` tokens has not.
torch::Tensor long_term_contribution(std::int64_t heads, std::int64_t length, const CacheSize& size,
                                     const std::vector<std::int64_t>& steps,
                                     const HeadAttention& attention_of);

/// The same plan for `attention` [K, windows, L] float32, which is left as it is. Throws Error(kInput) when
/// the shape does not fit, Error(kConfig) when the budget is not a multiple of the window.
GoldenPlan golden_plan(const torch::Tensor& attention, const CacheSize& size, std::int64_t prompt_tokens = 0);

}  // namespace foresight
