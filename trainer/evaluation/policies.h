// Policies by name, made for the traces they will run on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/scorer/scorer.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// A policy that can run side by side with others. `make` gives its selector for traces [N] (row n of a view
/// is trace n).
struct Policy {
  std::string name;
  std::function<EvictionSelector(const std::vector<const RecordedTrace*>&)> make;
};

/// golden, random, random_protected, recency_protected, streaming_llm, h2o, snapkv, tova, keydiff, rkv or
/// vase; random choices are seeded by `seed` and the trace's id. Throws Error(kConfig) for any other name.
Policy rule_policy(const std::string& name, const CacheSize& size, std::int64_t seed);

/// The policy of a scorer. Warns when it was trained at another window or for another model.
Policy scorer_policy(const std::string& name, const Scorer& scorer);

/// Runs several selectors side by side: rows p * N .. (p + 1) * N - 1 belong to selectors[p].
EvictionSelector side_by_side(std::vector<EvictionSelector> selectors);

}  // namespace foresight
