// What a recurrent layer remembers of a text: of a fixed size, whatever the text's length.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/model_files/model_shape.h"

namespace foresight {

/// The state of a GatedDeltaNet layer for R rows. Caches hold one for each such layer; nothing of it is
/// evicted, recorded or scored.
class RecurrentState {
 public:
  /// Of an empty text.
  RecurrentState(const RecurrentShape& shape, std::int64_t rows, const torch::Device& device);

  /// Prepares a pass of `tokens` tokens of `rows` rows. With more rows than the state holds, a multiple of
  /// them, its rows are repeated first: row r of copy c becomes c * R + r.
  void begin(std::int64_t rows, std::int64_t tokens);
  /// [R, T, 1] bool: which of the pass's tokens are padding; undefined where none can be.
  torch::Tensor padded_tokens() const;
  /// So many first tokens of each row's text are padding: [R] int64, or undefined.
  void set_padding(const torch::Tensor& padding) { padding_ = padding; }

  void repeat_rows(std::int64_t copies);
  /// Keeps only these rows (int64 indices).
  void keep_rows(const torch::Tensor& rows);
  std::int64_t bytes() const;
  /// Bytes of a row's state.
  static std::int64_t bytes_of(const RecurrentShape& shape);

  /// Inputs of the convolution that its next outputs still see, [R, channels, width - 1] float32.
  torch::Tensor inputs;
  /// What is remembered by each value head, [R, value heads, key dimensions, value dimensions] float32.
  torch::Tensor memory;

 private:
  torch::Tensor padding_;
  std::int64_t seen_ = 0, tokens_ = 0;  // before the pass, in the pass
};

}  // namespace foresight
