// Whole forward passes for the tests of trainer/model.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "trainer/eviction/full_cache.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// tokens [R, T] fed `chunk` at a time -> logits [R, T, V].
inline torch::Tensor all_logits(const Transformer& model, const torch::Tensor& tokens, std::int64_t chunk) {
  FullCache cache(model.shape(), tokens.size(0), tokens.size(1), model.options());
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < tokens.size(1); first += chunk) {
    const std::int64_t count = std::min(chunk, tokens.size(1) - first);
    const torch::Tensor hidden =
        model.forward(tokens.narrow(1, first, count), torch::arange(first, first + count), cache);
    parts.push_back(model.logits(hidden.flatten(0, 1)).unflatten(0, {tokens.size(0), count}));
  }
  return torch::cat(parts, 1);
}

inline double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

}  // namespace foresight
