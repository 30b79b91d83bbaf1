// The attention of a cache that keeps everything, on bare memory. No torch.
#pragma once

#include <cstdint>

namespace foresight::kernels {

/// T queries of each of R rows and K * g heads over the n live entries of their KV head, of which the last T
/// are their own. Strides count numbers; the numbers of a vector lie together.
struct FullWork {
  const float* query = nullptr;  ///< [R, K * g, T, d]
  std::int64_t query_row = 0, query_head = 0, query_token = 0;
  const void* keys = nullptr;    ///< [R, K, capacity, d], float32 or bfloat16
  const void* values = nullptr;  ///< as the keys
  bool bfloat16 = false;         ///< type of keys and values
  float* output = nullptr;       ///< [R, T, K * g, d]
  std::int64_t rows = 0, kv_heads = 0, group = 0, tokens = 0, width = 0;
  std::int64_t live = 0, capacity = 0;
  const std::int64_t* hidden = nullptr;  ///< [R]: first entries of a row that nobody sees; null: none
  float scale = 1;                       ///< of the products, above 0
  const float* sinks = nullptr;  ///< [K * g]: e^sink stands in the softmax's denominator; null: nothing does
  std::int64_t window = 0;       ///< queries of a window, whose last may be shorter
  float* means = nullptr;  ///< [R, K, windows, capacity]: mean attention of a window's queries and heads to
                           ///< the entries up to the last that it sees; null: nobody wants it
};

/// Entries whose keys and values are packed together, so that they stay in the nearest cache.
inline constexpr std::int64_t kEntriesTogether = 128;

/// Room of one thread, in floats.
struct FullRoom {
  std::int64_t rows_together = 0;  ///< queries (of any head) whose scores are held at once
  std::int64_t score_stride = 0;   ///< whole registers that hold all entries, or those of a chunk
  float* queries = nullptr;        ///< [rows_together, d]
  float* scores = nullptr;         ///< [rows_together, score_stride]
  float* sums = nullptr;           ///< [rows_together, d in whole registers]
  float* rounded = nullptr;        ///< [6, kEntriesTogether]
  float* columns = nullptr;        ///< [score_stride]
};

/// Keys and values of one KV head of one row as products read them, tile after tile.
struct PackedEntries {
  float* keys = nullptr;    ///< [n, d], n in whole tiles
  float* values = nullptr;  ///< [n, d in whole registers]
};

/// Attention of few queries to a chunk of entries, for merging: sums [T * g, d in whole registers] weighted
/// by e^(scale (product - largest)), and [T * g] each, the sum of these weights and the largest product.
struct ChunkSums {
  float* values = nullptr;
  float* weights = nullptr;
  float* largest = nullptr;
};

}  // namespace foresight::kernels
