// What evictions do with the entries of a cache, described on bare memory for the kernels of GPUs. No torch.
#pragma once

#include <cstdint>

#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// New tokens at the end of a cache: keys [R, K, T, d] float32 by their strides, values likewise, to entries
/// live .. live + T - 1 of [R, K, capacity, d]; their positions, seen .. seen + T - 1, to [R, K, capacity].
struct AppendWork {
  const float *keys = nullptr, *values = nullptr;
  std::int64_t key_row = 0, key_head = 0, key_token = 0, value_row = 0, value_head = 0, value_token = 0;
  void *to_keys = nullptr, *to_values = nullptr;
  bool bfloat16 = false;  ///< type of the cache
  std::int64_t* positions = nullptr;
  std::int64_t rows = 0, kv_heads = 0, tokens = 0, width = 0, capacity = 0, live = 0, seen = 0;
};

/// Takes `window` of budget + window entries out of every head, so that the others stand together in their
/// order. What is there of each entry: keys and values [R, K, capacity, d], positions [R, K, capacity], and
/// for every query head of the group two sums [R, K, g, capacity], which end in `window` zeros.
struct CompactWork {
  const std::int64_t* evicted = nullptr;  ///< [R, K, window]
  void *keys = nullptr, *values = nullptr;
  bool bfloat16 = false;  ///< type of the cache
  std::int64_t* positions = nullptr;
  float *cumulative = nullptr, *decayed = nullptr;
  std::int32_t* wrong = nullptr;  ///< [] becomes 1 where an index is no candidate, or is there twice
  std::int64_t rows = 0, kv_heads = 0, group = 0, width = 0, budget = 0, window = 0, capacity = 0;
};

/// Most entries of a head, budget and window, that CompactWork may have: their numbers fill shared memory.
inline constexpr std::int64_t kMostEntries = 16384;

/// A scorer's inputs of entries, F numbers each (trainer/scorer/candidate_features.h): of `chosen` entries
/// [R, K, M], or of the first M.
struct FeatureWork {
  const void *keys = nullptr, *values = nullptr;          ///< [R, K, capacity, d]
  bool bfloat16 = false;                                  ///< their type
  const float* statistics = nullptr;                      ///< [R, K, g, kStatistics, capacity]
  const float *cumulative = nullptr, *decayed = nullptr;  ///< [R, K, g, capacity]
  const std::int64_t* chosen = nullptr;                   ///< null: entries 0 .. M - 1
  bool normalised = true;  ///< log1p(100 x) of each statistic; false: as they are, and the whole sum stands
                           ///< for those of the last queries
  std::int64_t rows = 0, kv_heads = 0, group = 0, width = 0, entries = 0, capacity = 0;
  std::int64_t inputs = 0;  ///< F = 2d + 8g
};

/// The inputs themselves.
struct GatherWork {
  FeatureWork of = {};
  float* features = nullptr;  ///< [R, K, M, F]
};

/// Hidden units of a scorer.
inline constexpr int kHiddenUnits = 16;

/// Most inputs of a scorer that ScoreWork may have: with their weights they fill shared memory.
inline constexpr std::int64_t kMostInputs = 700;

/// A scorer's layer: gelu((x - mean) / deviation . weight1 + bias1) . weight2 + bias2, each KV head with
/// weights of its own.
struct LayerWeights {
  const float *mean = nullptr, *deviation = nullptr;  ///< [K, F]
  const float *weight1 = nullptr, *bias1 = nullptr;   ///< [K, F, kHiddenUnits], [K, kHiddenUnits]
  const float *weight2 = nullptr, *bias2 = nullptr;   ///< [K, kHiddenUnits], [K]
};

/// What a layer makes of entries, or of `features` where those are there already.
struct ScoreWork : LayerWeights {
  FeatureWork of = {};
  const float* features = nullptr;  ///< [R, K, M, F], or null
  float* scores = nullptr;          ///< [R, K, M]
};

/// Of weighted sums of scores, sum over m of delta[r, k, m] score[r, k, m], the gradients of each row r in
/// the layer's weights: for one or two kinds of deltas at once. For a CPU.
struct GradientWork : LayerWeights {
  static constexpr int kMost = 2;
  const float* features = nullptr;  ///< [R, K, M, F]
  const float* deltas[kMost] = {};  ///< [R, K, M] each; null: there is no second kind
  float* gradients[kMost] = {};     ///< [R, P] each: weight1, bias1, weight2 and bias2 of all KV heads
  std::int64_t rows = 0, kv_heads = 0, entries = 0, inputs = 0;

  /// P
  std::int64_t numbers() const { return kv_heads * ((inputs + 2) * kHiddenUnits + 1); }
};

}  // namespace foresight::kernels
