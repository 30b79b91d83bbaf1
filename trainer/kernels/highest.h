// The highest numbers of a row, in order.
#pragma once

#include <torch/types.h>

namespace foresight::kernels {

/// The indices of the `count` highest of each row, highest first, equal ones in order of their index: values
/// [..., N] float32 or float64, 1 <= count <= N, to [..., count] int64. What is no number comes first.
/// Detached. On a CPU rows are dealt to threads, and only what is asked for is put in order.
torch::Tensor highest(const torch::Tensor& values, std::int64_t count);

}  // namespace foresight::kernels
