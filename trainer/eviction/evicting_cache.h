// A KV cache of fixed size that evicts a window of entries whenever it is full.
#pragma once

#include <limits>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/eviction/row_layout.h"
#include "trainer/eviction/sliding_layer.h"
#include "trainer/kernels/window_attention.h"
#include "trainer/model/recurrent_state.h"
#include "trainer/model/rope.h"
#include "trainer/model/transformer.h"

namespace foresight {

inline constexpr std::int64_t kEndless = std::numeric_limits<std::int64_t>::max();

/// Time spent on evictions so far, scoring and compaction; an eviction of every layer counts one a layer that
/// evicts.
struct EvictionTime {
  double seconds = 0;
  std::int64_t evictions = 0;
};

/// Buffers are allocated once at budget + window entries, keys and values in options.cache_dtype, statistics
/// in float32; each layer and KV head evicts its own set; per-entry accumulators move with their entry on
/// compaction (docs/method.md, "The cache", "The scorer"). The cache swings between `budget` and `budget +
/// window` entries: it evicts as soon as the window is complete, unless the trace ends there. Sliding layers
/// keep what their window needs, recurrent ones their state; neither is evicted from.
class EvictingCache : public Attention {
 public:
  /// It begins with rows.traces rows; each layer repeats its rows to those of the whole layout just before
  /// its first eviction, so that copies of a trace share the prefix. total_tokens: length of the trace when
  /// it is known (step s happens only if p_s < total_tokens), else kEndless.
  EvictingCache(const ModelShape& shape, const RowLayout& rows, const CacheSize& size,
                std::int64_t total_tokens, EvictionSelector select, const ModelOptions& options);
  /// Tokens of each trace's prompt, before the first eviction; one for all of them, or one each.
  void set_prompts(const std::vector<std::int64_t>& prompt_tokens);

  /// The T tokens must fit room(): a forward pass never crosses the end of a window.
  torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value, const torch::Tensor& sinks) override;
  using Attention::attend;
  RecurrentState& recurrent_state(std::int64_t layer) override;

  /// Tokens that fit before the current window is complete.
  std::int64_t room() const;
  /// Tokens seen so far.
  std::int64_t seen() const { return layers_.back().seen; }

  /// Repeats every row `copies` times between two windows: row r of copy c becomes row c * R + r.
  void repeat_rows(std::int64_t copies);
  /// On a GPU evictions are not waited for, so that a policy which evicts an entry twice shows here: throws
  /// Error(kInternal) if one has. On the CPU attend() throws that itself.
  void require_sound() const;
  /// Bytes of the key and value buffers.
  std::int64_t bytes() const;
  /// Evictions are timed from now on. The device is waited for before and after each, which costs time by
  /// itself.
  void time_evictions() { timed_ = true; }
  const EvictionTime& eviction_time() const { return eviction_time_; }

 private:
  struct Layer {
    torch::Tensor keys, values;         // [R, K, B + W, d]
    torch::Tensor positions;            // [R, K, B + W] int64
    torch::Tensor statistics;           // [R, K, g, 6, B + W] of the window, of its live entries
    torch::Tensor cumulative, decayed;  // [R, K, g, B + W]
    torch::Tensor queries;  // [R, K, g, W, d] of a window that an eviction follows, else undefined
    std::int64_t live = 0;
    std::int64_t seen = 0;
    std::int64_t step = 0;
  };
  static void repeat_rows(Layer& layer, std::int64_t copies);
  /// Attention of grouped queries [R, K, g, T, d], whose keys and values are the last live ones, to all live
  /// entries: [R, H, T, d]. Takes it into the statistics of the window.
  torch::Tensor attend_live(Layer& layer, const torch::Tensor& query, const torch::Tensor& sinks) const;
  /// Keeps grouped queries for the eviction at the end of their window, if there will be one.
  void keep_queries(Layer& layer, const torch::Tensor& query) const;
  /// Of layers_[index].
  void close_window(std::size_t index, const torch::Tensor& sinks);
  void evict(std::size_t index, const torch::Tensor& sinks);
  void protect(EvictionView& view);
  void append(Layer& layer, const torch::Tensor& key, const torch::Tensor& value) const;
  void compact(Layer& layer, const torch::Tensor& evicted) const;

  std::vector<LayerPlace> places_;
  std::vector<Layer> layers_;  // those that evict
  std::vector<SlidingLayer> sliding_;
  std::vector<RecurrentState> recurrent_;
  AttentionRule rule_;  // of the former
  KeyRotation rotation_;
  kernels::Processor processor_;
  torch::Tensor wrong_;  // [] int32 on a GPU: 1 after an eviction of what was no candidate
  CacheSize size_;
  RowLayout rows_;
  std::vector<std::int64_t> prompt_tokens_;    // of each trace; empty: none
  torch::Tensor row_prompts_, row_protected_;  // [R], of the rows at the last eviction
  std::int64_t group_, budget_, window_, total_tokens_;
  EvictionSelector select_;
  bool timed_ = false;
  EvictionTime eviction_time_;
};

}  // namespace foresight
