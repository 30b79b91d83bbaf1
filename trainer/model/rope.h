// Frequencies of the rotary position embedding, as pure functions of a model's parameters.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "trainer/model_files/model_shape.h"

namespace foresight {

/// Angle per position of each pair of the d dimensions that are rotated, [d / 2] float32 on the CPU, for a
/// text of `tokens` tokens. Only kDynamic and kLongRope depend on `tokens`: beyond the length trained on, the
/// base grows with it, or the long factors hold. A key keeps the rotation it was cached with, so there
/// results depend on how a text is cut into passes.
torch::Tensor rotary_frequencies(const RopeParameters& rope, std::int64_t rotated_dimensions,
                                 std::int64_t tokens);

/// The same from `usual`, those of a text within the length trained on, which most models have at any length;
/// on the device of `usual`.
torch::Tensor frequencies_at(const RopeParameters& rope, const torch::Tensor& usual, std::int64_t tokens);

/// How positions turn the keys of the layers that evict.
class KeyRotation {
 public:
  KeyRotation(const ModelShape& shape, const torch::Device& device);

  /// Frequencies [r / 2] float32 of the first r dimensions of the keys of evicting layer `layer`, at the
  /// length of `tokens` tokens; undefined where positions do not turn them.
  torch::Tensor frequencies(std::int64_t layer, std::int64_t tokens) const;

 private:
  RopeParameters rope_;
  torch::Tensor usual_;
  std::vector<bool> turns_;  // by evicting layer
};

/// Keys [R, K, n, d] as a token at position `newest` sees them: turned back by its rotation, so that they
/// tell how far away an entry is, and not where it stands. Float32, contiguous; as they are where
/// `frequencies` is undefined.
torch::Tensor relative_keys(const torch::Tensor& keys, const torch::Tensor& frequencies, std::int64_t newest);

}  // namespace foresight
