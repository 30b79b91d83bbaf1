// The ranking loss of several rows as one number, for tests of values and gradients.
#pragma once

#include <torch/types.h>

#include "trainer/supervised/ranking_loss.h"

namespace foresight {

/// The mean of pairwise_ranking_rows() over the rows that have a pair, []; 0, still attached to the graph,
/// when none has.
inline torch::Tensor pairwise_ranking_loss(const torch::Tensor& scores, const torch::Tensor& oracle,
                                           double margin, PairWeight weight = PairWeight::kUniform) {
  const RankingRows rows = pairwise_ranking_rows(scores, oracle, margin, weight);
  return rows.losses.sum() / rows.has_pair.sum().clamp_min(1);
}

}  // namespace foresight
