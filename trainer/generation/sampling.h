// Sampling of the next token.
#pragma once

#include <torch/types.h>

#include "trainer/base/random.h"

namespace foresight {

/// How the next token is sampled.
struct SamplingOptions {
  double temperature = 0.6;  ///< 0: the most likely token
  double top_p = 0.95;       ///< smallest set of tokens whose probability reaches this; 1: all
  std::int64_t top_k = 20;   ///< only the k most likely tokens; 0: all
};

/// Samples a token from `logits` [V]: top-k, then temperature, then top-p, then one uniform number of
/// `random`. Ties go to the lower id. Throws Error(kNumeric) for logits that are not finite.
std::int32_t sample_token(const torch::Tensor& logits, const SamplingOptions& options, RandomStream& random);

}  // namespace foresight
