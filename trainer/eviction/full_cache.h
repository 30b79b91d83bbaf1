// A KV cache that keeps everything.
#pragma once

#include <functional>
#include <vector>

#include "trainer/eviction/grouped_attention.h"
#include "trainer/eviction/sliding_layer.h"
#include "trainer/model/recurrent_state.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// Called for all queries of each evicting layer (counted as ModelShape::evicting_layer_numbers() does) of a
/// forward pass, some of them at a time, in order: probabilities [R, K, g, T, n] of the next T tokens over
/// the n entries up to the last of them.
using AttentionObserver = std::function<void(std::int64_t layer, const torch::Tensor& probabilities)>;

/// Called likewise with the mean attention of whole blocks of queries over the query heads of a group: means
/// [K, blocks, n], of whose entries a block counts those up to its last query. The last block of a trace may
/// be shorter.
using BlockObserver = std::function<void(std::int64_t layer, const torch::Tensor& means)>;

/// Queries that attend at once where nothing else is asked for: on a CPU few, whose attention stays in a
/// cache near the core and little of which is masked; on a GPU many, as each block costs launches.
std::int64_t default_query_block(const torch::Device& device);

/// Most bytes of the probabilities [R, H, T, n] that a full cache has in hand at once, beside as many of the
/// products that they are made of: queries attend in parts once a trace is so long that a block of them would
/// take more. Large enough for whole blocks in small runs (SmolLM2: 128 queries up to 29,000 tokens), and for
/// products of some size in large ones (Qwen3-4B: 32 queries at 32,768 tokens). Means of blocks take no more
/// either.
inline constexpr std::int64_t kAttentionBytes = std::int64_t{1} << 27;

/// Buffers are allocated once at `capacity` tokens, those of sliding layers for what their window needs;
/// recurrent layers have their state.
class FullCache : public Attention {
 public:
  FullCache(const ModelShape& shape, std::int64_t rows, std::int64_t capacity, const ModelOptions& options);

  torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value, const torch::Tensor& sinks) override;
  using Attention::attend;
  RecurrentState& recurrent_state(std::int64_t layer) override;

  /// Rows of different length are padded on the left: [R] int64, the number of padding tokens of each row.
  void set_padding(const torch::Tensor& padding) { padding_ = padding; }
  /// So many queries attend at once, or parts of them as even as can be where they would take more than
  /// `most_bytes`.
  void set_query_block(std::int64_t tokens, std::int64_t most_bytes = kAttentionBytes) {
    query_block_ = tokens;
    attention_bytes_ = most_bytes;
  }
  void set_observer(AttentionObserver observer) { observer_ = std::move(observer); }
  /// Where kernels for it are there, `observer` is called instead of the other one, with the means of blocks
  /// of `tokens` queries. For one row; every forward pass but the last must be of whole blocks.
  void set_block_observer(std::int64_t tokens, BlockObserver observer) {
    block_tokens_ = tokens;
    block_observer_ = std::move(observer);
  }
  /// Keeps only these rows (int64 indices), for generation that drops finished rows.
  void keep_rows(const torch::Tensor& rows);
  /// Tokens cached by every layer.
  std::int64_t tokens() const;
  /// Bytes of the key and value buffers.
  std::int64_t bytes() const;

 private:
  struct Layer {
    torch::Tensor keys, values;  // [R, K, capacity, d]
    std::int64_t live = 0;
  };
  /// Attention of queries [R, K, g, T, d] over the first `entries` of layers_[index]: [R, K, g, T, d].
  torch::Tensor attend_block(std::int64_t index, const torch::Tensor& query, std::int64_t entries,
                             const AttentionRule& rule) const;

  /// As attend_block(), of queries [R, K, g, T, d] over all live entries: [R, H, T, d].
  torch::Tensor attend_by_kernel(const Layer& layer, const torch::Tensor& query,
                                 const torch::Tensor& sinks) const;

  /// Whether a forward pass of `query` [R, H, T, d] is shown to the block observer.
  bool suits_block_observer(const torch::Tensor& query) const;
  /// As attend_block(), of all the queries, shown to the block observer.
  torch::Tensor attend_blocks(std::int64_t index, const torch::Tensor& query,
                              const torch::Tensor& sinks) const;

  /// Queries that attend at once: parts of `block`, whose last sees `entries`.
  std::int64_t queries_together(std::int64_t rows_and_heads, std::int64_t block, std::int64_t entries) const;

  std::vector<LayerPlace> places_;
  std::vector<Layer> layers_;  // with full attention
  std::vector<SlidingLayer> sliding_;
  std::vector<RecurrentState> recurrent_;
  AttentionRule rule_;  // of the former
  std::int64_t group_, query_block_, attention_bytes_ = kAttentionBytes;
  torch::ScalarType fused_dtype_;  // of the products of attention that nobody watches
  torch::Tensor padding_;          // [R] or undefined
  AttentionObserver observer_;
  std::int64_t block_tokens_ = 0;
  BlockObserver block_observer_;
};

}  // namespace foresight
