// Frequencies of the rotary position embedding, as pure functions of a model's parameters.
#pragma once

#include <torch/types.h>

#include "trainer/model_files/rope_parameters.h"

namespace foresight {

/// Angle per position of each pair of dimensions, [d / 2] float32 on the CPU, for a text of `tokens` tokens.
/// Only kDynamic depends on `tokens`: beyond the length trained on, the base grows with it. A key keeps the
/// rotation it was cached with, so there results depend on how a text is cut into passes.
torch::Tensor rotary_frequencies(const RopeParameters& rope, std::int64_t head_dimension,
                                 std::int64_t tokens);

}  // namespace foresight
