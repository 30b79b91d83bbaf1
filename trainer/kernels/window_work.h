// One description of a window's work on bare memory, for the kernels of every processor. No torch.
#pragma once

#include <cstdint>

#include "trainer/kernels/attention_work.h"

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

/// Attention of a window's queries. On GPUs alone, several windows of T queries one after the other, each
/// complete: their own entries are the last ones, and the earlier windows see no later ones.
struct WindowWork : AttentionWork {
  float* statistics = nullptr;  ///< [R, K * g, 6, capacity]
  std::int64_t windows = 1;     ///< above 1: query [R, K * g, windows * T, d], output [R, windows * T,
                                ///< K * g, d], statistics [R, windows, K * g, 6, capacity]
  std::int64_t first = 0;       ///< place in the window of the first of these queries
  std::int64_t window = 0;      ///< queries that the window has when it is complete
};

}  // namespace foresight::kernels
