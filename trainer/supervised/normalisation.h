// Mean and deviation of the scorer's features, from states as they come.
#pragma once

#include <torch/types.h>

#include "trainer/comm/world.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/state_source.h"

namespace foresight {

/// Count, mean and sum of squared deviations of samples [K, n, F], for each head and feature, in double.
/// Parts of a sample join to the whole's (Chan, Golub and LeVeque 1979), whatever their sizes.
struct FeatureMoments {
  double count = 0;
  torch::Tensor mean, squares;  ///< [K, F] float64

  /// Of a sample [K, n, F], n >= 1.
  static FeatureMoments of(const torch::Tensor& samples);
  void join(const FeatureMoments& other);
  /// Population deviation [K, F] float32; 1e-4 at least, so that a constant feature is not blown up.
  torch::Tensor deviation() const;
};

/// Sets the scorer's mean and deviation of every feature from all states of the first `traces` traces. Traces
/// are dealt out to ranks and joined in their order: a collective. `vectors`: numbers of key and value,
/// behind which the statistics stand; as serving features these deviate by 0.1 at least, for of some heads a
/// logarithm is 0 in all states of a sample and far from it in a later one.
void fit_normalisation(Scorer& scorer, const StateSource& states, std::int64_t traces, std::int64_t vectors,
                       World& world);

}  // namespace foresight
