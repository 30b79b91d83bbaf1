// Attention of a cache that keeps everything, on a CPU without the probabilities in memory.
#pragma once

#include "trainer/kernels/window_attention.h"

namespace foresight::kernels {

/// T queries and the cache that they attend to.
struct FullInput {
  torch::Tensor query;         ///< [R, K, g, T, d] float32, the last dimension without gaps
  torch::Tensor keys, values;  ///< [R, K, N, d] contiguous, both float32 or both bfloat16
  std::int64_t live = 0;       ///< of the N entries; the last T of them are the queries' own
  torch::Tensor hidden = {};   ///< [R] int64: so many first entries of a row are padding; undefined: none
  torch::Tensor sinks = {};    ///< [K g] float32: e^sink stands in the softmax's denominator; undefined: none
};

/// Most queries of the heads of a group, g T, that are few: full_attention() reads keys and values once for
/// them, in parts that threads share.
inline constexpr std::int64_t kFewQueries = 64;

/// Whether full_attention() is faster than torch's operators for `queries` of the heads of a group on this
/// machine, where products are of `products`: with AVX-512, but for a single query in float32, and for many
/// in bfloat16 with AMX if `width` is no multiple of 32 (docs/performance.md).
bool suits_full_attention(const torch::Device& device, std::int64_t queries, std::int64_t width,
                          torch::ScalarType products);

/// Causal attention of the queries over the live entries. Arithmetic is as in window_attention(); queries
/// that see nothing, padding themselves, get zeros. The values do not depend on the number of threads.
/// Memory beyond the result: of many queries keys and values of one KV head in float32, and for each thread
/// the scores of some, half a MiB up to 2,700 entries and 200 bytes for each entry beyond; of few queries a
/// chunk for each thread, and their sums for every 512 entries. Returns [R, K g, T, d] float32, of which [R,
/// T, K g, d] is contiguous. Throws Error(kInternal) unless the shapes fit.
torch::Tensor full_attention(const FullInput& input, Processor processor = best_processor(torch::kFloat32));

/// Whether attention_means() works on `device` faster than torch's products.
bool suits_attention_means(const torch::Device& device, std::int64_t width);

/// Numbers that attention_means() holds for a window, a KV head of `group` query heads and an entry.
std::int64_t numbers_of_means(const torch::Device& device, std::int64_t group);

/// full_attention() with the mean attention of windows of `window` queries, the last of which may be shorter.
/// Nothing is hidden. On a GPU attention_of_windows(), for whole windows. Throws as they do.
WindowMeans attention_means(const FullInput& input, std::int64_t window,
                            Processor processor = best_processor(torch::kFloat32));

}  // namespace foresight::kernels
