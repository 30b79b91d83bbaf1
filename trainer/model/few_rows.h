// Products of a few rows with large matrices: what decoding one token, or a small batch, consists of. A
// library's products are made for many rows, and copy the matrix before they read it.
#pragma once

#include <torch/types.h>

namespace foresight {

/// Up to so many rows these functions beat the library's (docs/performance.md).
inline constexpr std::int64_t kFewRows = 16;

/// Whether few_rows_linear() takes these: float32 on the CPU, the weight contiguous, at most kFewRows rows.
bool suits_few_rows(const torch::Tensor& input, const torch::Tensor& weight);

/// input [..., in] times weight [out, in] transposed -> [..., out]. Every weight is read once, by one thread;
/// the instruction set (AVX-512, AVX2 or what every processor has) is chosen at run time. A row's values
/// depend on neither the rows beside it nor the number of threads. Throws Error(kInternal) unless
/// suits_few_rows().
torch::Tensor few_rows_linear(const torch::Tensor& input, const torch::Tensor& weight);

/// Whether the batched functions take these: matrices [b, n, width] of contiguous rows on the CPU, float32 or
/// bfloat16 (read as they are, multiplied and added in float32), and at most kFewRows rows of float32.
bool suits_few_rows_batch(std::int64_t rows, const torch::Tensor& matrices);

/// input [b, rows, width] times matrices [b, n, width] transposed -> [b, rows, n], as few_rows_linear().
torch::Tensor few_rows_products(const torch::Tensor& input, const torch::Tensor& matrices);

/// weights [b, rows, n] times matrices [b, n, width] -> [b, rows, width]: sums of the matrices' rows.
torch::Tensor few_rows_sums(const torch::Tensor& weights, const torch::Tensor& matrices);

}  // namespace foresight
