#include "trainer/scorer/candidate_features.h"

#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "trainer/kernels/scorer_layer.h"
#include "trainer/model/rope.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model_files/scorer_file.h"

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

/// Normalised features [R, K, B, F] with context_statistics() behind them, and keys as `kind` has them.
torch::Tensor with_context(const EvictionView& view, ScorerFeatures kind, const torch::Tensor& normalised) {
  if (kind == ScorerFeatures::kRelative) {
    normalised.narrow(3, 0, view.keys.size(3))
        .copy_(relative_keys(view.keys.narrow(2, 0, view.budget), view.frequencies, view.seen() - 1));
  }
  return torch::cat({normalised, context_statistics(view).transpose(2, 3)}, 3);
}

void check_statistics(const EvictionView& view, ScorerFeatures kind) {
  if (kind == ScorerFeatures::kServing) return;
  check_shape(view.window_statistics, {-1, -1, -1, kernels::kStatistics, view.budget + view.window},
              "window statistics");
}

}  // namespace

bool is_readable(const EvictionView& view, ScorerFeatures kind) {
  const auto packed = [](const torch::Tensor& values) { return values.defined() && values.is_contiguous(); };
  const bool known = kind == ScorerFeatures::kNormalized || kind == ScorerFeatures::kReleased;
  if (!known || !packed(view.keys) || !packed(view.values) || !packed(view.window_statistics) ||
      !packed(view.cumulative) || !packed(view.decayed))
    return false;
  const std::int64_t inputs = 2 * view.keys.size(3) + statistics_of(kind, view.cumulative.size(2));
  const torch::ScalarType type = view.keys.scalar_type();
  return (type == torch::kFloat32 || type == torch::kBFloat16) && view.values.scalar_type() == type &&
         kernels::suits_scorer_layer(view.keys.device(), inputs);
}

kernels::FeatureWork describe_features(const EvictionView& view, ScorerFeatures features,
                                       const torch::Tensor& chosen) {
  kernels::FeatureWork work;
  work.keys = view.keys.const_data_ptr();
  work.values = view.values.const_data_ptr();
  work.bfloat16 = view.keys.scalar_type() == torch::kBFloat16;
  work.statistics = view.window_statistics.const_data_ptr<float>();
  work.cumulative = view.cumulative.const_data_ptr<float>();
  work.decayed = view.decayed.const_data_ptr<float>();
  work.rows = view.keys.size(0);
  work.kv_heads = view.keys.size(1);
  work.group = view.cumulative.size(2);
  work.width = view.keys.size(3);
  work.capacity = view.keys.size(2);
  work.normalised = features != ScorerFeatures::kReleased;
  work.inputs = 2 * work.width + statistics_of(features, work.group);
  work.entries = view.budget;
  if (chosen.defined()) {
    check_shape(chosen, {work.rows, work.kv_heads, -1}, "chosen entries");
    work.chosen = chosen.const_data_ptr<std::int64_t>();
    work.entries = chosen.size(2);
  }
  return work;
}

torch::Tensor features_of_entries(const EvictionView& view, ScorerFeatures kind,
                                  const torch::Tensor& chosen) {
  const torch::Tensor entries = chosen.defined() ? chosen.contiguous() : chosen;
  kernels::GatherWork work;
  work.of = describe_features(view, kind, entries);
  torch::Tensor features = torch::empty({work.of.rows, work.of.kv_heads, work.of.entries, work.of.inputs},
                                        view.cumulative.options());
  work.features = features.mutable_data_ptr<float>();
  kernels::gather(work, features.device());
  return features;
}

torch::Tensor candidate_features(const EvictionView& view, ScorerFeatures kind) {
  check_statistics(view, kind);
  if (has_context(kind))
    return with_context(view, kind, candidate_features(view, ScorerFeatures::kNormalized));
  return is_readable(view, kind) ? features_of_entries(view, kind, {})
                                 : plain::candidate_features(view, kind);
}

torch::Tensor plain::candidate_features(const EvictionView& view, ScorerFeatures kind) {
  check_statistics(view, kind);
  if (has_context(kind))
    return with_context(view, kind, plain::candidate_features(view, ScorerFeatures::kNormalized));
  const std::int64_t candidates = view.budget;
  torch::Tensor statistics = kind == ScorerFeatures::kServing
                                 ? serving_statistics(view)
                                 : gathered_statistics(view, kind == ScorerFeatures::kReleased);
  if (kind == ScorerFeatures::kNormalized) statistics.mul_(kCoarse).log1p_();
  const std::int64_t rows = view.keys.size(0), heads = view.keys.size(1), d = view.keys.size(3),
                     count = statistics.size(2);
  torch::Tensor features = torch::empty({rows, heads, candidates, 2 * d + count}, statistics.options());
  features.narrow(3, 0, d).copy_(view.keys.narrow(2, 0, candidates));
  features.narrow(3, d, d).copy_(view.values.narrow(2, 0, candidates));
  features.narrow(3, 2 * d, count).copy_(statistics.transpose(2, 3));
  return features;
}

}  // namespace foresight
