// The supervised loss: a hinge over all pairs that the oracle orders, exact and without the pairs in memory.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/config/choices.h"

namespace foresight {

/// The loss of each row with its gradient, and whether the row has a pair to learn from. Detached.
struct RankingRows {
  torch::Tensor losses;    ///< [rows], dtype of the scores; 0 where has_pair is false
  torch::Tensor has_pair;  ///< [rows] bool: at least one strict pair
  torch::Tensor gradient;  ///< [rows, N]: of each row's loss in its scores
};

/// Pairwise ranking losses (docs/method.md, "Ranking").
/// `scores`, `oracle`: [rows, N], float32 or float64; a higher oracle score means evict first (oracle = -C, C
/// the long-term contribution). A row's loss is the mean over its ordered pairs (i, j) with oracle_i >
/// oracle_j (strictly) of max(0, margin - (score_i - score_j)); with PairWeight::kGap the mean is weighted by
/// oracle_i - oracle_j, the attention that is lost when i stays in place of j. At a kink (a pair exactly at
/// the margin) the gradient of that pair is 0.
///
/// Value and gradient are computed together by a sweep over the sorted scores with Fenwick trees over the
/// oracle ranks: O(N log N) time and O(N) memory a row, sums in double, rows in parallel on the CPU (tensors
/// of another device are copied there and back; [rows, N] is small). The same input gives the same bits on
/// any number of threads. Throws Error(kInternal) when shapes, dtypes or margin do not fit, Error(kNumeric)
/// when a value is NaN or Inf.
RankingRows pairwise_ranking_rows(const torch::Tensor& scores, const torch::Tensor& oracle, double margin,
                                  PairWeight weight = PairWeight::kUniform);

/// Share of the golden choice that the scores agree with, the metric of the supervised stage: per row
/// |top-`top_count` by score, intersected with top-`top_count` by oracle| / top_count. Ties go to the lower
/// index, the older entry. `scores`, `oracle` [rows, N]; returns [rows] float32, detached. Throws
/// Error(kInternal) unless 1 <= top_count <= N and the shapes agree.
torch::Tensor top_overlap(const torch::Tensor& scores, const torch::Tensor& oracle, std::int64_t top_count);

}  // namespace foresight
