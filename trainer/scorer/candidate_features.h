// What a scorer sees of the candidates of an eviction (docs/method.md, "The scorer").
#pragma once

#include <torch/types.h>

#include "trainer/config/choices.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/kernels/entry_work.h"

namespace foresight {

/// Inputs of the scorer for every candidate: [R, K, B, 2d + S] float32, S as statistics_of(). Key, value,
/// then for the g query heads of the group in order: max, min, sum, sum of the last 16, last 8, last 32
/// window queries, cumulative sum, decayed cumulative sum. kReleased: raw, and the three partial sums repeat
/// the whole sum, as the authors' code does; kNormalized: the sums are what their names say and the
/// statistics are log1p(100 x). kExtended: these; for the g query heads log1p(1e6 x) of max, sum of the last
/// 8 and cumulative sum over age; then the logarithm of its age (tokens read since it, and its own), the
/// largest cosine of its key with that of a newer entry, and log1p(100 x) of the largest sum, mean over the
/// group, of the seven candidates around it. kRelative: kExtended with relative_keys(). kServing: of the
/// window's last min(8, W) queries alone: log1p(100 x) of max, sum, sum of the last 4, 2 and 1, then max,
/// mean and min of log1p(1e6 x). Throws Error(kInternal) for statistics of another shape.
torch::Tensor candidate_features(const EvictionView& view, ScorerFeatures kind);

/// Whether kernels read features of `kind` from this view: kNormalized or kReleased ones, of a whole cache.
bool is_readable(const EvictionView& view, ScorerFeatures kind);

/// What they read, of a view that is_readable() and outlives the work: of `chosen` [R, K, M] int64,
/// contiguous, which must do so too, or of all candidates where that is undefined.
kernels::FeatureWork describe_features(const EvictionView& view, ScorerFeatures kind,
                                       const torch::Tensor& chosen);

/// Features [R, K, M, F] of such entries of a view that is_readable().
torch::Tensor features_of_entries(const EvictionView& view, ScorerFeatures kind, const torch::Tensor& chosen);

namespace plain {
/// candidate_features() from torch's operators.
torch::Tensor candidate_features(const EvictionView& view, ScorerFeatures kind);
}  // namespace plain

}  // namespace foresight
