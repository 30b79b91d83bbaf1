#include "trainer/scorer/candidate_features.h"

#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "trainer/kernels/window_work.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Queries of a window that serving features are of, and what its attention is multiplied by before the
/// logarithm: coarse as normalised features are, fine where an entry gets next to none.
constexpr std::int64_t kServingQueries = 8;
constexpr double kCoarse = 100.0, kFine = 1e6;

/// [R, K, 8g, B] of the window's last queries, whose attention is computed again.
torch::Tensor serving_statistics(const EvictionView& view) {
  const std::int64_t recent = std::min(kServingQueries, view.window);
  const torch::Tensor attention = attention_of_last(view, recent).narrow(4, 0, view.budget);
  const auto last = [&](std::int64_t queries) {
    const std::int64_t count = std::min(queries, recent);
    return attention.narrow(3, recent - count, count).sum(3);
  };
  const torch::Tensor coarse =
      torch::cat({attention.amax(3), last(8), last(4), last(2), last(1)}, 2).mul_(kCoarse).log1p_();
  const torch::Tensor fine = attention.mul(kFine).log1p_();
  return torch::cat({coarse, fine.amax(3), fine.mean(3), fine.amin(3)}, 2);
}

/// [R, K, 8g, B], raw: what entries gathered in this window and before it.
torch::Tensor gathered_statistics(const EvictionView& view, bool released) {
  const auto of_candidates = [&](const torch::Tensor& all) { return all.narrow(3, 0, view.budget); };
  const auto in_window = [&](kernels::Statistic which) { return of_candidates(view.statistic(which)); };
  const auto last = [&](kernels::Statistic which) { return in_window(released ? kernels::kSum : which); };
  return torch::cat({in_window(kernels::kMaximum), in_window(kernels::kMinimum), in_window(kernels::kSum),
                     last(kernels::kLast16), last(kernels::kLast8), last(kernels::kLast32),
                     of_candidates(view.cumulative), of_candidates(view.decayed)},
                    2);
}

/// [R, K, 1, B]: the largest cosine of each candidate's key with the key of an entry that is newer. Row by
/// row, as a row's [K, B, N] may be large.
torch::Tensor likeness_to_newer(const EvictionView& view) {
  constexpr double kLeastNorm = 1e-6, kLeastCosine = -1.0;
  const std::int64_t entries = view.keys.size(2);
  const torch::Tensor older =
      torch::ones({view.budget, entries}, view.keys.options().dtype(torch::kBool)).tril();
  std::vector<torch::Tensor> rows;
  for (std::int64_t row = 0; row < view.keys.size(0); ++row) {
    const torch::Tensor keys = view.keys[row].to(torch::kFloat32);
    const torch::Tensor unit = keys / keys.norm(2, -1, true).clamp_min(kLeastNorm);
    const torch::Tensor cosines = torch::matmul(unit.narrow(1, 0, view.budget), unit.transpose(1, 2));
    rows.push_back(cosines.masked_fill(older, kLeastCosine).amax(-1));
  }
  return torch::stack(rows).unsqueeze(2);
}

/// [R, K, 3g + 3, B]: what the other statistics leave out, attention where it is next to none and what the
/// candidate is among the others.
torch::Tensor context_statistics(const EvictionView& view) {
  constexpr std::int64_t kAround = 7;
  const auto of_candidates = [&](const torch::Tensor& all) { return all.narrow(3, 0, view.budget); };
  const auto fine = [](const torch::Tensor& attention) { return attention.mul(kFine).log1p_(); };
  const torch::Tensor age =
      (view.seen() - view.positions.narrow(2, 0, view.budget)).to(torch::kFloat32).unsqueeze(2);
  const torch::Tensor sums = of_candidates(view.statistic(kernels::kSum)).mean(2);
  const torch::Tensor around = torch::max_pool1d(sums, kAround, /*stride=*/1, /*padding=*/kAround / 2);
  return torch::cat(
      {fine(of_candidates(view.statistic(kernels::kMaximum))),
       fine(of_candidates(view.statistic(kernels::kLast8))), fine(of_candidates(view.cumulative) / age),
       age.log(), likeness_to_newer(view), around.mul(kCoarse).log1p_().unsqueeze(2)},
      2);
}

}  // namespace

torch::Tensor candidate_features(const EvictionView& view, ScorerFeatures kind) {
  const std::int64_t candidates = view.budget;
  if (kind != ScorerFeatures::kServing) {
    check_shape(view.window_statistics, {-1, -1, -1, kernels::kStatistics, candidates + view.window},
                "window statistics");
  }
  torch::Tensor statistics = kind == ScorerFeatures::kServing
                                 ? serving_statistics(view)
                                 : gathered_statistics(view, kind == ScorerFeatures::kReleased);
  if (kind == ScorerFeatures::kNormalized || kind == ScorerFeatures::kExtended)
    statistics.mul_(kCoarse).log1p_();
  if (kind == ScorerFeatures::kExtended) statistics = torch::cat({statistics, context_statistics(view)}, 2);
  const std::int64_t rows = view.keys.size(0), heads = view.keys.size(1), d = view.keys.size(3),
                     count = statistics.size(2);
  torch::Tensor features = torch::empty({rows, heads, candidates, 2 * d + count}, statistics.options());
  features.narrow(3, 0, d).copy_(view.keys.narrow(2, 0, candidates));
  features.narrow(3, d, d).copy_(view.values.narrow(2, 0, candidates));
  features.narrow(3, 2 * d, count).copy_(statistics.transpose(2, 3));
  return features;
}

}  // namespace foresight
