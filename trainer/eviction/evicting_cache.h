// A KV cache of fixed size that evicts a window of entries whenever it is full.
#pragma once

#include <limits>
#include <vector>

#include "trainer/eviction/eviction_view.h"
#include "trainer/model/transformer.h"

namespace foresight {

inline constexpr std::int64_t kEndless = std::numeric_limits<std::int64_t>::max();

/// Time spent on evictions so far, scoring and compaction; an eviction of every layer counts one a layer.
struct EvictionTime {
  double seconds = 0;
  std::int64_t evictions = 0;
};

/// Buffers are allocated once at budget + window entries; each layer and KV head evicts its own set;
/// per-entry accumulators move with their entry on compaction (docs/method.md, "The cache"). The cache
/// swings between `budget` and `budget + window` entries: it evicts as soon as the window is complete, unless
/// the trace ends there.
class EvictingCache : public Attention {
 public:
  /// total_tokens: length of the trace when it is known (step s happens only if p_s < total_tokens), else
  /// kEndless.
  EvictingCache(const ModelShape& shape, std::int64_t rows, std::int64_t budget, std::int64_t window,
                std::int64_t total_tokens, EvictionSelector select, torch::Device device);

  /// The T tokens must fit room(): a forward pass never crosses the end of a window.
  torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value) override;

  /// Tokens that fit before the current window is complete.
  std::int64_t room() const;
  /// Tokens seen so far.
  std::int64_t seen() const { return layers_.back().seen; }

  /// While held, a complete window waits instead of evicting (all layers keep its attention).
  void hold_evictions() { held_ = true; }
  /// Repeats every row `copies` times (row r of copy c becomes row c * R + r), then evicts what waited: rows
  /// that share a prefix compute it once.
  void release_evictions(std::int64_t copies);
  /// Bytes of the key and value buffers.
  std::int64_t bytes() const;
  /// Measured on the host: on a CUDA device it is the time to launch the work.
  const EvictionTime& eviction_time() const { return eviction_time_; }

 private:
  struct Layer {
    torch::Tensor keys, values;                     // [R, K, B + W, d]
    torch::Tensor positions;                        // [R, K, B + W] int64
    torch::Tensor window_sum, cumulative, decayed;  // [R, K, g, B + W]
    torch::Tensor window_attention;  // [R, K, g, W, B + W] of an incomplete or waiting window, else undefined
    std::int64_t live = 0;
    std::int64_t seen = 0;
    std::int64_t step = 0;
  };
  void observe(Layer& layer, const torch::Tensor& probabilities, std::int64_t tokens);
  void close_window(std::int64_t index);
  void evict(std::int64_t index);
  void compact(Layer& layer, const torch::Tensor& evicted) const;

  std::vector<Layer> layers_;
  std::int64_t group_, budget_, window_, total_tokens_;
  EvictionSelector select_;
  bool held_ = false;
  EvictionTime eviction_time_;
};

}  // namespace foresight
