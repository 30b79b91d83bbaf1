// The arithmetic of the operators, for one row and KV head at a time, in float32 (docs/method.md, "The
// scorer").
#pragma once

#include "trainer/operators/entries.h"

namespace foresight::operators {

/// Statistics of an entry, each for the g query heads of the group in order: maximum, minimum and sum over
/// the window's queries, sums over its last 16, 8 and 32 queries, cumulative sum, decayed cumulative sum. The
/// order is that of candidate_features().
inline constexpr std::int64_t kWindowStatistics = 6, kStatistics = 8;
inline constexpr std::int64_t kMaximum = 0, kMinimum = 1, kSum = 2, kCumulative = 6, kDecayed = 7;
/// Statistic and the number of a window's last queries that it is the sum of.
inline constexpr std::int64_t kPartial[][2] = {{3, 16}, {4, 8}, {5, 32}};
inline constexpr float kDecayPerWindow = 0.9F;  // as trainer/eviction/evicting_cache.cpp
inline constexpr std::int64_t kHidden = 16;

/// One row's part in a forward pass, for one KV head.
struct Observation {
  const float* queries = nullptr;  ///< query t of head j begins at t * token_stride + j * head_stride
  std::int64_t token_stride = 0, head_stride = 0;
  std::int64_t group = 0;   ///< g
  std::int64_t tokens = 0;  ///< T, the newest T of the live entries
  std::int64_t live = 0;    ///< entries, the new ones included
  std::int64_t first = 0;   ///< place of the first of these queries in the window
  std::int64_t window = 0;  ///< queries that the window has when it is complete
  float scale = 1;          ///< of the products, before the softmax
};

/// Adds the causal softmax of the queries over the live keys to the window's statistics of every entry. New
/// entries begin at zero; the window's statistics begin anew with its query 0.
void observe(const Observation& observation, const Entries& keys, const Entries& statistics);

/// Adds a complete window's sums to the accumulators: cumulative += sum, decayed = 0.9 decayed + sum.
void close_window(const Entries& statistics, std::int64_t live, std::int64_t group);

/// One KV head's network, normalisation folded in: w1 [F, 16], b1 [16], w2 [16], b2.
struct Network {
  const float *weight1 = nullptr, *bias1 = nullptr, *weight2 = nullptr;
  float bias2 = 0;
};

/// Scores of entries 0 .. count-1, high = evict. released: raw statistics whose partial sums repeat the sum.
void score(const Entries& keys, const Entries& values, const Entries& statistics, std::int64_t count,
           std::int64_t group, const Network& network, bool released, float* scores);

/// Queries of a window that serving features are of.
inline constexpr std::int64_t kServingQueries = 8;
/// Factors of attention before its logarithm.
inline constexpr float kCoarse = 100, kFine = 1e6;

/// Scores of entries 0 .. count-1, high = evict, on serving features: of the queries of `recent`, at most
/// kServingQueries and the newest of its live entries, behind all `count`. Its window is not looked at.
void score_serving(const Observation& recent, const Entries& keys, const Entries& values, std::int64_t count,
                   const Network& network, float* scores);

/// Writes which of `count` entries stay when the `evict` of highest score go, ascending; of equal scores the
/// older goes first. protect: null, or whether an entry must stay. At least `evict` entries must be free to
/// go.
void keep(const float* scores, const bool* protect, std::int64_t count, std::int64_t evict,
          std::int32_t* kept);

/// Moves the entries kept[0] < kept[1] < ... to the places 0 .. count-1.
void compact(const Entries& entries, const std::int32_t* kept, std::int64_t count);

}  // namespace foresight::operators
