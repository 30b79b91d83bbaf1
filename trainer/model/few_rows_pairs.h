// Dot products of bfloat16 rows by the processor's products of pairs (AVX-512 BF16), for few_rows.h.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

namespace foresight {

/// `rows` rows of an input and `length` rows of a matrix, all of `width` numbers; `result` [rows, length].
struct PairOperands {
  const c10::BFloat16* input;
  const c10::BFloat16* matrix;
  float* result;
  std::int64_t rows, width, length;
};

/// Whether this processor has such products, and the build knows them.
bool has_pair_products();

/// The dot products of all rows of the input with rows first .. last - 1 of the matrix, in float32. A value
/// depends on its two rows alone. Only if has_pair_products().
void multiply_pairs(const PairOperands& of, std::int64_t first, std::int64_t last);

}  // namespace foresight
