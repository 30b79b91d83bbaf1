#include "trainer/model/few_rows_pairs.h"

#if defined(__x86_64__) && !defined(__clang__)  // clang-tidy knows no such pragma
#include <immintrin.h>

// What is included above is compiled for every processor.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16")

namespace foresight {
namespace {

constexpr std::int64_t kPairNumbers = 32;  // bfloat16 of a register

inline __m512bh load(const c10::BFloat16* at, __mmask32 which) {
  return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(which, at));
}

inline __m512bh load(const c10::BFloat16* at) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(at));
}

/// _mm512_reduce_add_ps() without GCC 12's false alarm of a value that was never set.
inline float sum_of(__m512 values) {
  alignas(sizeof(__m512)) float lanes[sizeof(__m512) / sizeof(float)];
  _mm512_store_ps(lanes, values);
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

/// kRows rows from `row` with one row of the matrix. Two registers of sums each, as a product waits for the
/// last one; the order of additions is the same for every kRows.
template <int kRows>
inline void multiply_block(const PairOperands& of, std::int64_t row, std::int64_t output) {
  const c10::BFloat16* const weights = of.matrix + output * of.width;
  const c10::BFloat16* inputs[kRows];
  for (int r = 0; r < kRows; ++r) inputs[r] = of.input + (row + r) * of.width;
  __m512 even[kRows], odd[kRows];
  for (int r = 0; r < kRows; ++r) even[r] = odd[r] = _mm512_setzero_ps();
  std::int64_t i = 0;
  for (; i + 2 * kPairNumbers <= of.width; i += 2 * kPairNumbers) {
    const __m512bh first = load(weights + i), second = load(weights + i + kPairNumbers);
    for (int r = 0; r < kRows; ++r) {
      even[r] = _mm512_dpbf16_ps(even[r], load(inputs[r] + i), first);
      odd[r] = _mm512_dpbf16_ps(odd[r], load(inputs[r] + i + kPairNumbers), second);
    }
  }
  for (; i < of.width; i += kPairNumbers) {
    const std::int64_t left = of.width - i;
    const auto which =
        left >= kPairNumbers ? ~__mmask32{0} : static_cast<__mmask32>((std::uint32_t{1} << left) - 1);
    const __m512bh rest = load(weights + i, which);
    for (int r = 0; r < kRows; ++r) even[r] = _mm512_dpbf16_ps(even[r], load(inputs[r] + i, which), rest);
  }
  for (int r = 0; r < kRows; ++r)
    of.result[(row + r) * of.length + output] = sum_of(_mm512_add_ps(even[r], odd[r]));
}

}  // namespace

bool has_pair_products() {
  static const bool has =
      __builtin_cpu_supports("x86-64-v4") != 0 && __builtin_cpu_supports("avx512bf16") != 0;
  return has;
}

void multiply_pairs(const PairOperands& of, std::int64_t first, std::int64_t last) {
  for (std::int64_t output = first; output < last; ++output) {
    std::int64_t row = 0;
    for (; row + 2 <= of.rows; row += 2) multiply_block<2>(of, row, output);
    if (row < of.rows) multiply_block<1>(of, row, output);
  }
}

}  // namespace foresight
#pragma GCC pop_options

#else

namespace foresight {

bool has_pair_products() {
  return false;
}
void multiply_pairs(const PairOperands&, std::int64_t, std::int64_t) {}

}  // namespace foresight
#endif
