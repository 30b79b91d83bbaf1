// Whose evictions lead through the training traces, and so which states the scorer learns from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/scorer/scorer.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// A policy that replays follow. The oracle ranks the entries of any state, so the labels need no other one.
struct Behaviour {
  std::string name;  ///< cached states are known by it
  /// Of traces that are replayed together with caches of one size.
  std::function<EvictionSelector(const std::vector<const RecordedTrace*>&, const CacheSize&)> selector;
};

/// The golden plan of each trace.
Behaviour golden_behaviour();
/// The scorer's own evictions, by the weights it has when a replay begins; `scorer` must outlive it.
Behaviour scorer_behaviour(const Scorer& scorer);

}  // namespace foresight
