// Vectors of chosen cache entries.
#pragma once

#include <torch/types.h>

namespace foresight {

/// [R, K, n, d]: of `vectors` [R, K, N, d] those of `entries` [R, K, n] (int64, each below N). Whole vectors
/// are copied at once; a gather would go number by number. Throws Error(kInternal) for other shapes.
torch::Tensor select_entries(const torch::Tensor& vectors, const torch::Tensor& entries);

/// [R, K, B] int64, ascending: the entries of budget + W that stay when `evicted` [R, K, W] go. Throws
/// Error(kInternal) unless B of them stay in every head.
torch::Tensor kept_entries(const torch::Tensor& evicted, std::int64_t budget);

}  // namespace foresight
