// A scorer's view of entries at an eviction: without their features in memory where kernels read them.
#pragma once

#include <torch/types.h>

#include "trainer/eviction/eviction_view.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// The candidates of a view as a scorer sees them. Where the view is_readable(), features are in memory only
/// when asked for.
/// Nothing has gradients. Scorer and view must outlive this.
class Candidates {
 public:
  Candidates(const Scorer& scorer, const EvictionView& view);
  /// [R, K, B]; high = evict.
  torch::Tensor scores() const;
  /// [R, K, B, F], as candidate_features().
  torch::Tensor features() const;
  /// [R, K, M, F]: those of `chosen` candidates [R, K, M] int64.
  torch::Tensor features_of(const torch::Tensor& chosen) const;

 private:
  const Scorer* scorer_;
  const EvictionView* view_;
  torch::Tensor features_;  // undefined where kernels compute them
};

/// A selector that evicts the entries of highest score.
EvictionSelector scorer_selector(const Scorer& scorer);

}  // namespace foresight
