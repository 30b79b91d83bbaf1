// A cache at the end of a window, of odd shapes.
#pragma once

#include <torch/types.h>

#include <limits>
#include <vector>

#include "trainer/eviction/eviction_view.h"
#include "trainer/scorer/scorer.h"

namespace foresight::kernels {

struct CacheShape {
  std::int64_t rows, kv_heads, group, width, budget, window, capacity;
};

/// A cache at the end of a window, whose entries past budget + window hold no numbers.
struct CacheCase {
  CacheShape shape;
  torch::Tensor keys, values, positions, statistics, cumulative, decayed;

  CacheCase(const CacheShape& of, torch::ScalarType type, std::uint64_t seed) : shape(of) {
    torch::manual_seed(seed);
    const auto filled = [&](const torch::Tensor& whole, std::int64_t dim) {
      whole.narrow(dim, of.budget + of.window, of.capacity - of.budget - of.window)
          .fill_(std::numeric_limits<float>::quiet_NaN());
      return whole;
    };
    keys = filled(torch::randn({of.rows, of.kv_heads, of.capacity, of.width}).to(type), 2);
    values = filled(torch::randn({of.rows, of.kv_heads, of.capacity, of.width}).to(type), 2);
    positions = torch::randint(0, 1000, {of.rows, of.kv_heads, of.capacity}, torch::kInt64);
    statistics = filled(torch::rand({of.rows, of.kv_heads, of.group, kStatistics, of.capacity}), 4);
    cumulative = filled(torch::rand({of.rows, of.kv_heads, of.group, of.capacity}), 3);
    decayed = filled(torch::rand({of.rows, of.kv_heads, of.group, of.capacity}), 3);
  }

  /// W different candidates of every head, in any order.
  torch::Tensor some_candidates(std::int64_t count) const {
    return torch::rand({shape.rows, shape.kv_heads, shape.budget})
        .argsort(std::int64_t{-1})
        .narrow(2, 0, count)
        .contiguous();
  }

  /// The view of the first `entries` of the buffers.
  EvictionView view(std::int64_t entries) const {
    EvictionView view;
    view.budget = shape.budget;
    view.window = shape.window;
    view.keys = keys.narrow(2, 0, entries);
    view.values = values.narrow(2, 0, entries);
    view.window_statistics = statistics.narrow(4, 0, entries);
    view.cumulative = cumulative.narrow(3, 0, entries);
    view.decayed = decayed.narrow(3, 0, entries);
    return view;
  }
};

/// Odd ones: vectors that are no whole chunks, one entry, more entries than threads.
inline std::vector<CacheShape> cache_shapes() {
  return {
      {2, 3, 2, 8, 20, 6, 30}, {1, 1, 1, 3, 1, 1, 2}, {1, 2, 4, 80, 300, 70, 370}, {1, 2, 1, 5, 9, 9, 18}};
}

/// A scorer of one layer for such a cache, with some normalisation.
inline Scorer scorer_for(const CacheShape& shape, ScorerFeatures kind) {
  ModelShape model;
  model.layers = 1;
  model.query_heads = shape.kv_heads * shape.group;
  model.kv_heads = shape.kv_heads;
  model.head_dimension = shape.width;
  ScorerFacts facts;
  facts.features = kind;
  Scorer scorer = Scorer::random(model, facts, RandomStream(2, "test"));
  const std::int64_t inputs = scorer.shape().inputs(kind);
  scorer.set_normalisation(0, torch::randn({shape.kv_heads, inputs}),
                           torch::rand({shape.kv_heads, inputs}) + 0.5);
  return scorer;
}

}  // namespace foresight::kernels
