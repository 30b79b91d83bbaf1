// Products of bfloat16 for attention_panels.h where the processor multiplies pairs of them
// (AVX512-BF16). A word holds two neighbours: numbers of a vector for the products with keys, entries for
// those with values. Sums are float32. Everything has internal linkage.
#pragma once

#include "trainer/kernels/vectors.h"

namespace foresight::kernels {
namespace {

using Word = std::uint32_t;  ///< two bfloat16
using WordAnywhere = Word __attribute__((aligned(alignof(Half)), may_alias));
using WordLanesAnywhere =
    Word __attribute__((vector_size(kLanes * sizeof(Word)), aligned(alignof(Half)), may_alias));

FORESIGHT_INLINE WordLanes load_words(const void* at) {
  return *static_cast<const WordLanesAnywhere*>(at);
}

FORESIGHT_INLINE void store_words(void* at, const WordLanes& words) {
  *static_cast<WordLanesAnywhere*>(at) = words;
}

/// sums += both products of each word.
FORESIGHT_INLINE void add_pairs(Lanes& sums, Word one, const WordLanes& others) {
  sums = reinterpret_cast<Lanes>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sums),
                                                  reinterpret_cast<__m512bh>(WordLanes{} + one),
                                                  reinterpret_cast<__m512bh>(others)));
}

/// `count` floats rounded to bfloat16, to nearest with ties to even; zeros up to a whole word.
FORESIGHT_INLINE void round_to_halves(const float* from, std::int64_t count, Half* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto rounded =
        reinterpret_cast<HalfLanes>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(load(from + i))));
    *reinterpret_cast<HalfLanesAnywhere*>(to + i) = rounded;
  }
  if (i == count) return;
  Lanes rest{};
  for (std::int64_t lane = 0; i + lane < count; ++lane) rest[lane] = from[i + lane];
  const auto rounded = reinterpret_cast<HalfLanes>(_mm512_cvtneps_pbh(reinterpret_cast<__m512>(rest)));
  for (std::int64_t lane = 0; i + lane < count + count % 2; ++lane) to[i + lane] = rounded[lane];
}

/// Values [live, width] to panels of words [ceil(live / 2), panel], as pack_values() lays out floats.
template <int kRegisters>
FORESIGHT_INLINE void pack_value_pairs(const Half* values, std::int64_t live, std::int64_t width,
                                       std::int64_t first, WordAnywhere* panel) {
  constexpr std::int64_t kNumbers = kRegisters * kLanes;
  constexpr int kHalfBits = 16;
  for (std::int64_t entry = 0; entry < live; entry += 2) {
    const Half* const one = values + entry * width + first;
    const Half* const other = entry + 1 < live ? one + width : nullptr;
    WordAnywhere* const to = panel + entry / 2 * kNumbers;
    for (std::int64_t i = 0; i < kNumbers; i += kLanes) {
      if (other != nullptr && first + i + kLanes <= width) {
        ask_ahead(one + i, width);
        ask_ahead(other + i, width);
        const auto low =
            __builtin_convertvector(*reinterpret_cast<const HalfLanesAnywhere*>(one + i), WordLanes);
        const auto high =
            __builtin_convertvector(*reinterpret_cast<const HalfLanesAnywhere*>(other + i), WordLanes);
        store_words(to + i, low | (high << kHalfBits));
        continue;
      }
      for (std::int64_t k = i; k < i + kLanes; ++k) {
        const bool exists = first + k < width;
        const Word low = exists ? one[k] : 0, high = exists && other != nullptr ? other[k] : 0;
        to[k] = low | (high << kHalfBits);
      }
    }
  }
}

/// As multiply(), of query words with a panel of words; `pairs` of them in a vector.
template <int kRows, int kRegisters>
FORESIGHT_INLINE void multiply_pairs(const WordAnywhere* query, std::int64_t pairs, const Word* panel,
                                     float* scores, std::int64_t stride) {
  Lanes sums[kRows][kRegisters] = {};
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    for (int part = 0; part < kRegisters; ++part) {
      const WordLanes keys = load_words(panel + (pair * kRegisters + part) * kLanes);
      for (int row = 0; row < kRows; ++row) add_pairs(sums[row][part], query[row * pairs + pair], keys);
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kRegisters; ++part)
      store(scores + row * stride + part * kLanes, sums[row][part]);
  }
}

/// Sums [kRows][kRegisters] of a panel of value words weighted by probability words, `stride` words a row.
template <int kRows, int kRegisters>
FORESIGHT_INLINE void sum_pairs(const WordAnywhere* probabilities, std::int64_t stride, std::int64_t pairs,
                                const Word* panel, Lanes (&sums)[kRows][kRegisters]) {
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    for (int part = 0; part < kRegisters; ++part) {
      const WordLanes values = load_words(panel + (pair * kRegisters + part) * kLanes);
      for (int row = 0; row < kRows; ++row)
        add_pairs(sums[row][part], probabilities[row * stride + pair], values);
    }
  }
}

}  // namespace
}  // namespace foresight::kernels
