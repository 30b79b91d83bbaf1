// Gradients in a scorer's weights, to be compared.
#pragma once

#include <torch/types.h>

#include <vector>

#include "trainer/scorer/scorer.h"

namespace foresight {

/// All gradients one after the other; clears them.
inline torch::Tensor take_gradient(const Scorer& scorer) {
  std::vector<torch::Tensor> parts;
  for (torch::Tensor parameter : scorer.parameters()) {
    parts.push_back(parameter.grad().flatten());
    parameter.mutable_grad().reset();
  }
  return torch::cat(parts);
}

inline double relative_difference(const torch::Tensor& found, const torch::Tensor& expected) {
  return ((found - expected).norm() / expected.norm()).item<double>();
}

}  // namespace foresight
