// The gradient of the ranking loss, state by state.
#pragma once

#include <string>
#include <vector>

#include "trainer/config/choices.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/state_source.h"

namespace foresight {

/// Mean over layers of the mean ranking loss of a unit's rows, and of the share of the golden choice that the
/// scorer's top W hits; times the unit's weight.
struct RankingFigures {
  double loss = 0, overlap = 0;
};

/// Adds up the loss of the states it is shown and leaves its gradient in the scorer's weights. A layer's loss
/// is the mean over all its rows that have a pair, however they come: rows are summed first, and divided at
/// the end.
class RankingGradient {
 public:
  /// `window` is W, of the overlap. `scorer` must outlive this; its weights must have no gradients yet.
  RankingGradient(const Scorer& scorer, double margin, PairWeight pair_weight, std::int64_t window);

  /// Throws Error(kNumeric), whose message begins with `where` and names layer and eviction, for scores that
  /// overflow.
  void add(const RankedStates& states, const std::string& where);
  /// Divides, times `weight`. The gradients are whole then.
  RankingFigures finish(double weight);

 private:
  struct Layer {
    double loss = 0, overlap = 0;
    std::int64_t pair_rows = 0, rows = 0;
  };
  const Scorer* scorer_;
  double margin_;
  PairWeight pair_weight_;
  std::int64_t window_;
  std::vector<Layer> layers_;
};

}  // namespace foresight
