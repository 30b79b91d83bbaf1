// A KV cache that keeps everything.
#pragma once

#include <functional>
#include <vector>

#include "trainer/model/transformer.h"

namespace foresight {

/// Called after each layer of a forward pass: probabilities [R, K, g, T, n] of the T new tokens over all n
/// entries.
using AttentionObserver = std::function<void(std::int64_t layer, const torch::Tensor& probabilities)>;

/// Buffers are allocated once at `capacity` tokens.
class FullCache : public Attention {
 public:
  FullCache(const ModelShape& shape, std::int64_t rows, std::int64_t capacity, torch::Device device);

  torch::Tensor attend(std::int64_t layer, const torch::Tensor& query, const torch::Tensor& key,
                       const torch::Tensor& value) override;

  /// Rows of different length are padded on the left: [R] int64, the number of padding tokens of each row.
  void set_padding(const torch::Tensor& padding) { padding_ = padding; }
  void set_observer(AttentionObserver observer) { observer_ = std::move(observer); }
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
  std::vector<Layer> layers_;
  std::int64_t group_;
  torch::Tensor padding_;  // [R] or undefined
  AttentionObserver observer_;
};

}  // namespace foresight
