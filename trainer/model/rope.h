// Frequencies of the rotary position embedding, as pure functions of a model's parameters.
#pragma once

#include <torch/types.h>

#include "trainer/model_files/rope_parameters.h"

namespace foresight {

/// Angle per position of each pair of the d dimensions that are rotated, [d / 2] float32 on the CPU, for a
/// text of `tokens` tokens. Only kDynamic and kLongRope depend on `tokens`: beyond the length trained on, the
/// base grows with it, or the long factors hold. A key keeps the rotation it was cached with, so there
/// results depend on how a text is cut into passes.
torch::Tensor rotary_frequencies(const RopeParameters& rope, std::int64_t rotated_dimensions,
                                 std::int64_t tokens);

}  // namespace foresight
