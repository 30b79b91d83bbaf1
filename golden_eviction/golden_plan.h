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
  torch::Tensor contribution;  ///< [K, S, B] float32, C of each candidate: the largest attention that a later
                               ///< window gives it
};

/// Windows of a trace of `length` tokens whose attention is in memory together while a KV head is planned: 1
/// MiB of them, but no fewer than there are such parts. A row [L] is kept for each part beside them.
std::int64_t windows_of_plan_part(std::int64_t windows, std::int64_t length);

/// Future attention of one KV head: the rows of windows first .. first + count - 1 of `size.window` queries,
/// [count, L] float32 on the CPU. The plan writes into what it returns, and asks for a row up to twice.
using HeadAttention = std::function<torch::Tensor(std::int64_t head, std::int64_t first, std::int64_t count)>;

/// The plan of `heads` KV heads of a trace of `length` tokens. Attention is requested head by head and
/// in parts of some windows, so that memory holds about one part. Step s: the candidates are the live entries
/// except the newest W; the W with the smallest C are evicted (ties: the older position first), but never the
/// first size.protected_entries(`prompt_tokens`). Throws Error(kConfig) when the budget is not a multiple of
/// the window, Error(kInternal) when the shape of a head's attention does not fit.
GoldenPlan golden_plan(std::int64_t heads, std::int64_t length, const CacheSize& size,
                       std::int64_t prompt_tokens, const HeadAttention& attention_of);

/// GoldenPlan::evicted of the same plan, without memory for the rest. Throws as golden_plan().
torch::Tensor golden_evicted(std::int64_t heads, std::int64_t length, const CacheSize& size,
                             std::int64_t prompt_tokens, const HeadAttention& attention_of);

/// C of every position at the evictions `steps` (n of them, in any order), whatever was evicted before: [n,
/// K, L] float32, the largest attention from a window that begins at the eviction or later. Positions after
/// the eviction hold the same maximum, which is not used. `attention_of` as in golden_plan(). Throws
/// Error(kConfig) and Error(kInternal) as golden_plan() does, and Error(kInternal) for a step that a trace of
/// `length` tokens does not have.
torch::Tensor long_term_contribution(std::int64_t heads, std::int64_t length, const CacheSize& size,
                                     const std::vector<std::int64_t>& steps,
                                     const HeadAttention& attention_of);

/// The same plan for `attention` [K, windows, L] float32, which is not changed. Throws Error(kInput) when the
/// shape does not fit, Error(kConfig) when the budget is not a multiple of the window.
GoldenPlan golden_plan(const torch::Tensor& attention, const CacheSize& size, std::int64_t prompt_tokens = 0);

}  // namespace foresight
