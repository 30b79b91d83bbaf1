// The product of a few rows with a large matrix: what decoding one token, or a small batch, consists of.
#pragma once

#include <torch/types.h>

namespace foresight {

/// Up to so many rows few_rows_linear() beats the library's product (docs/performance.md).
inline constexpr std::int64_t kFewRows = 16;

/// Whether few_rows_linear() takes these: both float32 and contiguous on the CPU, at most kFewRows rows.
bool suits_few_rows(const torch::Tensor& input, const torch::Tensor& weight);

/// input [..., in] times weight [out, in] transposed -> [..., out], all float32. Every weight is read once,
/// by one thread; the instruction set (AVX-512, AVX2 or what every processor has) is chosen at run time. A
/// row's values depend on neither the rows beside it nor the number of threads. Throws Error(kInternal)
/// unless suits_few_rows().
torch::Tensor few_rows_linear(const torch::Tensor& input, const torch::Tensor& weight);

}  // namespace foresight
