// One description of a window's work on bare memory, for the kernels of every processor. No torch.
#pragma once

#include <cstdint>

namespace foresight::kernels {

/// What is kept of an entry's attention by the queries of a window, each for every query head of the group:
/// [6, entries] float32. The order is that of the scorer's features.
enum Statistic : std::int64_t { kMaximum, kMinimum, kSum, kLast16, kLast8, kLast32, kStatistics };

/// The sums over a window's last queries alone, and over how many.
struct PartialSum {
  Statistic statistic;
  std::int64_t queries;
};
inline constexpr PartialSum kPartialSums[] = {{kLast16, 16}, {kLast8, 8}, {kLast32, 32}};

/// Largest head dimension of the kernels.
inline constexpr std::int64_t kLargestWidth = 256;

/// T queries of each of R rows and K * g heads over the n live entries of their KV head, of which the last T
/// are their own. Strides count numbers; the numbers of a vector lie together. On GPUs alone, several windows
/// of T queries one after the other, each complete: their own entries are the last ones, and the earlier
/// windows see no later ones.
struct WindowWork {
  const float* query = nullptr;  ///< [R, K * g, T, d]
  std::int64_t query_row = 0, query_head = 0, query_token = 0;
  const void* keys = nullptr;    ///< [R, K, capacity, d], float32 or bfloat16
  const void* values = nullptr;  ///< as the keys
  bool bfloat16 = false;         ///< type of keys and values
  float* output = nullptr;       ///< [R, T, K * g, d]
  float* statistics = nullptr;   ///< [R, K * g, 6, capacity]
  std::int64_t rows = 0, kv_heads = 0, group = 0, tokens = 0, width = 0;
  std::int64_t live = 0, capacity = 0;
  std::int64_t windows = 1;      ///< above 1: query [R, K * g, windows * T, d], output [R, windows * T,
                                 ///< K * g, d], statistics [R, windows, K * g, 6, capacity]
  std::int64_t first = 0;        ///< place in the window of the first of these queries
  std::int64_t window = 0;       ///< queries that the window has when it is complete
  float scale = 1;               ///< of the products, above 0
  const float* sinks = nullptr;  ///< [K * g]: e^sink stands in the softmax's denominator; null: nothing does
};

}  // namespace foresight::kernels
