// The ranking loss by its definition: all pairs in memory, with torch's gradient. Tests and benchmarks
// compare the fast one with it.
#pragma once

#include <torch/types.h>

#include "trainer/supervised/ranking_loss.h"

namespace foresight {

/// Arguments and result as pairwise_ranking_loss(); [rows, N, N] numbers are held.
inline torch::Tensor pairwise_ranking_loss_all_pairs(const torch::Tensor& scores, const torch::Tensor& oracle,
                                                     double margin,
                                                     PairWeight weight = PairWeight::kUniform) {
  const auto gaps = (oracle.unsqueeze(2) - oracle.unsqueeze(1)).detach();  // [rows, N, N]
  const auto ordered = weight == PairWeight::kUniform ? (gaps > 0).to(gaps.scalar_type()) : gaps.clamp_min(0);
  const auto hinge = torch::relu(margin - (scores.unsqueeze(2) - scores.unsqueeze(1)));  // [rows, N, N]
  const auto pairs = ordered.sum({1, 2});                                                // [rows]
  const auto losses = (hinge * ordered).sum({1, 2}) / torch::where(pairs > 0, pairs, torch::ones_like(pairs));
  return losses.sum() / (pairs > 0).sum().clamp_min(1);
}

}  // namespace foresight
