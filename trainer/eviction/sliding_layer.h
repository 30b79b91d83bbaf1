// The cache of a layer whose queries see a window of the text: never evicted, and of bounded size.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/eviction/grouped_attention.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// Keys and values of the last tokens of R rows. It holds what the window needs and room for more, so that
/// old entries are moved out of the way once in many tokens.
class SlidingLayer {
 public:
  /// `longest`: tokens that the text can have at most.
  SlidingLayer(const ModelShape& shape, std::int64_t rows, std::int64_t longest, const ModelOptions& options);

  /// query [R, H, T, d], key and value [R, K, T, d] of the next T tokens -> [R, H, T, d] float32. With more
  /// rows than it holds, a multiple of them, its rows are repeated first: row r of copy c becomes c * R + r.
  /// `padding` [R] int64 (optional): so many first tokens of the text are padding. Sinks as in Attention.
  torch::Tensor attend(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                       const torch::Tensor& padding = {}, const torch::Tensor& sinks = {});

  void repeat_rows(std::int64_t copies);
  /// Keeps only these rows (int64 indices).
  void keep_rows(const torch::Tensor& rows);
  /// Bytes of the key and value buffers.
  std::int64_t bytes() const;

  /// Entries that a layer of a text of `longest` tokens holds room for.
  static std::int64_t entries(const ModelShape& shape, std::int64_t longest, const torch::Device& device);

 private:
  /// Makes room for `count` more entries behind the live ones.
  void make_room(std::int64_t count);

  AttentionRule rule_;
  std::int64_t piece_;           // queries that attend at once
  torch::Tensor keys_, values_;  // [R, K, entries, d]
  std::int64_t live_ = 0;        // entries held
  std::int64_t seen_ = 0;        // tokens of the text so far
};

}  // namespace foresight
