// The attention of a cache that keeps everything, on bare memory. No torch.
#pragma once

#include <cstdint>

#include "trainer/kernels/attention_work.h"

namespace foresight::kernels {

/// Attention of all queries to what they see of a cache that hides nothing but padding.
struct FullWork : AttentionWork {
  const std::int64_t* hidden = nullptr;  ///< [R]: first entries of a row that nobody sees; null: none
  std::int64_t window = 0;               ///< queries of a window, whose last may be shorter
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
  float* rounded = nullptr;        ///< [16, kEntriesTogether]
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
