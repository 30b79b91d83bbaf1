// Panels of packed keys and values, products with them and softmax, for one instruction set: a .cpp file for
// each includes the bodies that use this after a pragma that names it and after FORESIGHT_KERNEL_LANES, the
// floats of a register, and FORESIGHT_KERNEL_REGISTERS, those of a panel; with FORESIGHT_KERNEL_PAIRS
// products of bfloat16 round queries and probabilities to bfloat16 too, with FORESIGHT_KERNEL_TILES in units
// for matrices. Everything has internal linkage and
// calls nothing of the standard library, so that no code for one processor can be taken for another's.
#pragma once

#include "trainer/kernels/attention_work.h"
#include "trainer/kernels/matrix_tiles.h"
#include "trainer/kernels/vectors.h"
#ifdef FORESIGHT_KERNEL_PAIRS
#include "trainer/kernels/bfloat16_pairs.h"
#endif

namespace foresight::kernels {
namespace {

/// Entries, or numbers of a vector, that lie together in a packed panel; what is left has panels of one
/// register.
constexpr std::int64_t kPanel = FORESIGHT_KERNEL_REGISTERS * kLanes;

template <int kValue>
struct Constant {};

/// Calls work(first, registers) for all panels of `count` numbers.
template <typename Work>
FORESIGHT_INLINE void for_panels(std::int64_t count, const Work& work) {
  std::int64_t first = 0;
  for (; first + kPanel <= count; first += kPanel) work(first, Constant<FORESIGHT_KERNEL_REGISTERS>());
  for (; first < count; first += kLanes) work(first, Constant<1>());
}

/// Calls work(row, rows, Constant<rows>) for groups of rows that go through a product together; of tiles,
/// Constant<kTileRows> whatever the rows.
template <typename Work>
FORESIGHT_INLINE void for_groups([[maybe_unused]] bool tiles, std::int64_t count, const Work& work) {
  std::int64_t row = 0;
#ifdef FORESIGHT_KERNEL_TILES
  for (; tiles && row < count; row += kTileRows)
    work(row, count - row < kTileRows ? count - row : kTileRows, Constant<kTileRows>());
#endif
  for (; row + 6 <= count; row += 6) work(row, 6, Constant<6>());
  switch (count - row) {
    case 5:
      return work(row, 5, Constant<5>());
    case 4:
      return work(row, 4, Constant<4>());
    case 3:
      return work(row, 3, Constant<3>());
    case 2:
      return work(row, 2, Constant<2>());
    case 1:
      return work(row, 1, Constant<1>());
    default:
      return;
  }
}

template <std::int64_t... kNumbers>
struct Sequence {};
template <std::int64_t kCount, std::int64_t... kNumbers>
struct SequenceTo : SequenceTo<kCount - 1, kCount - 1, kNumbers...> {};
template <std::int64_t... kNumbers>
struct SequenceTo<0, kNumbers...> {
  using Type = Sequence<kNumbers...>;
};

/// Rows that lie kStep apart exchange blocks of kStep lanes.
template <std::int64_t kStep, std::int64_t... kLane>
FORESIGHT_INLINE void exchange_lanes(Lanes (&block)[kLanes], Sequence<kLane...>) {
  constexpr auto is_second = [](std::int64_t lane) { return (lane & kStep) != 0; };
  const IntegerLanes low = {static_cast<std::int32_t>(is_second(kLane) ? kLanes + kLane - kStep : kLane)...};
  const IntegerLanes high = {static_cast<std::int32_t>(is_second(kLane) ? kLanes + kLane : kLane + kStep)...};
#pragma GCC unroll 16
  for (std::int64_t row = 0; row < kLanes; ++row) {
    if (is_second(row)) continue;
    const Lanes one = block[row], other = block[row + kStep];
    block[row] = __builtin_shuffle(one, other, low);
    block[row + kStep] = __builtin_shuffle(one, other, high);
  }
}

/// Column c of the block becomes its row c.
template <std::int64_t kStep = 1>
FORESIGHT_INLINE void transpose(Lanes (&block)[kLanes]) {
  exchange_lanes<kStep>(block, typename SequenceTo<kLanes>::Type());
  if constexpr (2 * kStep < kLanes) transpose<2 * kStep>(block);
}

/// Keys [live, width] to panels [width, panel]: number c of entry i of the panel that begins at `first` lies
/// at first * width + c * panel + i. Entries behind the last are zero.
template <typename Element>
FORESIGHT_INLINE void pack_keys(const Element* keys, std::int64_t live, std::int64_t width, float* packed) {
  for_panels(live, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    float* const panel = packed + first * width;
    constexpr std::int64_t kEntries = kRegisters * kLanes;
    for (std::int64_t part = 0; part < kRegisters; ++part) {
      const std::int64_t entry = first + part * kLanes;
      std::int64_t number = 0;
      for (; entry + kLanes <= live && number + kLanes <= width; number += kLanes) {
        Lanes block[kLanes];
#pragma GCC unroll 16
        for (std::int64_t i = 0; i < kLanes; ++i) {
          const Element* const key = keys + (entry + i) * width + number;
          ask_ahead(key, width);
          block[i] = load(key);
        }
        transpose(block);
#pragma GCC unroll 16
        for (std::int64_t i = 0; i < kLanes; ++i)
          store(panel + (number + i) * kEntries + part * kLanes, block[i]);
      }
      for (; number < width; ++number) {
        for (std::int64_t i = 0; i < kLanes; ++i) {
          panel[number * kEntries + part * kLanes + i] =
              entry + i < live ? widened(keys[(entry + i) * width + number]) : 0.0F;
        }
      }
    }
  });
}

/// Values [live, width] to panels [live, panel]: number i of the panel that begins at `first` of entry n lies
/// at first * live + n * panel + i. Numbers behind the last are zero.
template <typename Element>
FORESIGHT_INLINE void pack_values(const Element* values, std::int64_t live, std::int64_t width,
                                  float* packed) {
  for_panels(width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    constexpr std::int64_t kNumbers = kRegisters * kLanes;
    for (std::int64_t entry = 0; entry < live; ++entry) {
      float* const to = packed + first * live + entry * kNumbers;
      const Element* const from = values + entry * width + first;
      if (first + kNumbers <= width) {
        for (std::int64_t i = 0; i < kNumbers; i += kLanes) {
          ask_ahead(from + i, width);
          store(to + i, load(from + i));
        }
      } else {
        for (std::int64_t i = 0; i < kNumbers; ++i) to[i] = first + i < width ? widened(from[i]) : 0.0F;
      }
    }
  });
}

/// Products of kRows queries with the entries of a panel: scores [kRows, stride].
template <int kRows, int kRegisters>
FORESIGHT_INLINE void multiply(const float* query, std::int64_t query_stride, const float* panel,
                               std::int64_t width, float* scores, std::int64_t stride) {
  Lanes sums[kRows][kRegisters] = {};
  for (std::int64_t number = 0; number < width; ++number) {
    for (int part = 0; part < kRegisters; ++part) {
      const Lanes keys = load(panel + (number * kRegisters + part) * kLanes);
      for (int row = 0; row < kRows; ++row) sums[row][part] += query[row * query_stride + number] * keys;
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kRegisters; ++part)
      store(scores + row * stride + part * kLanes, sums[row][part]);
  }
}

/// Of rows of sums, the `numbers` that exist.
template <int kRows, int kRegisters>
FORESIGHT_INLINE void store_sums(const Lanes (&sums)[kRows][kRegisters], float* output, std::int64_t stride,
                                 std::int64_t numbers) {
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kRegisters; ++part) {
      float* const to = output + row * stride + part * kLanes;
      if ((part + 1) * kLanes <= numbers) {
        store(to, sums[row][part]);
      } else {
        for (std::int64_t i = 0; part * kLanes + i < numbers; ++i) to[i] = sums[row][part][i];
      }
    }
  }
}

/// sums += those of a panel's values weighted by kRows rows of probabilities.
template <int kRows, int kRegisters>
FORESIGHT_INLINE void add_up(const float* probabilities, std::int64_t stride, std::int64_t visible,
                             const float* panel, Lanes (&sums)[kRows][kRegisters]) {
  for (std::int64_t entry = 0; entry < visible; ++entry) {
    for (int part = 0; part < kRegisters; ++part) {
      const Lanes values = load(panel + (entry * kRegisters + part) * kLanes);
      for (int row = 0; row < kRows; ++row) sums[row][part] += probabilities[row * stride + entry] * values;
    }
  }
}

/// The largest of `padded` products, whole registers of them; kLowest where all that are seen are -infinity.
FORESIGHT_INLINE float largest_of(const float* row, std::int64_t padded) {
  Lanes peaks = load(row);
  for (std::int64_t i = kLanes; i < padded; i += kLanes) {
    const Lanes some = load(row + i);
    peaks = some > peaks ? some : peaks;
  }
  float largest = peaks[0];
  for (std::int64_t lane = 1; lane < kLanes; ++lane) largest = peaks[lane] > largest ? peaks[lane] : largest;
  return largest;
}

/// Products in place to e^((product - largest) * scale); returns their sum, beginning with `sums`.
FORESIGHT_INLINE float to_powers(float* row, std::int64_t padded, float largest, float scale, Lanes sums) {
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    const Lanes power = exponential((load(row + i) - largest) * scale);
    store(row + i, power);
    sums += power;
  }
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return sum;
}

/// Products [visible] in place to their softmax, beside a sink where there is one; what follows up to whole
/// registers becomes 0.
FORESIGHT_INLINE void softmax(float* row, std::int64_t visible, std::int64_t padded, float scale,
                              const float* sink) {
  for (std::int64_t i = visible; i < padded; ++i) row[i] = kLowest;
  float largest = largest_of(row, padded);
  if (largest <= kLowest) largest = kNoNumber;
  Lanes sums = {};
  if (sink != nullptr) {
    const float product = *sink / scale;
    largest = product > largest ? product : largest;
    sums[0] = exponential(Lanes{} + (product - largest) * scale)[0];
  }
  const float share = 1.0F / to_powers(row, padded, largest, scale, sums);
  for (std::int64_t i = 0; i < padded; i += kLanes) store(row + i, load(row + i) * share);
}

/// Whether keys and values of this type and head dimension are packed as words of two bfloat16.
FORESIGHT_INLINE bool in_pairs([[maybe_unused]] bool bfloat16, [[maybe_unused]] std::int64_t width) {
#ifdef FORESIGHT_KERNEL_PAIRS
  return bfloat16 && width % 2 == 0;
#else
  return false;
#endif
}

/// Keys and values of a KV head from some entry on.
struct CachedEntries {
  const void* keys = nullptr;
  const void* values = nullptr;
  std::int64_t width = 0;
  bool bfloat16 = false, pairs = false;  ///< their type, and whether they are packed as words
};

/// Those of the cache from `entry` on, counted over all rows and KV heads.
FORESIGHT_INLINE CachedEntries entries_from(const AttentionWork& of, std::int64_t entry) {
  constexpr std::int64_t kFloatBytes = sizeof(float), kHalfBytes = sizeof(Half);
  const std::int64_t bytes = entry * of.width * (of.bfloat16 ? kHalfBytes : kFloatBytes);
  return {static_cast<const char*>(of.keys) + bytes, static_cast<const char*>(of.values) + bytes, of.width,
          of.bfloat16, in_pairs(of.bfloat16, of.width)};
}

/// Packs the keys of entries first .. first + count - 1, as pack_keys() does, or words as it does floats.
FORESIGHT_INLINE void pack_entry_keys(const CachedEntries& of, std::int64_t first, std::int64_t count,
                                      float* to) {
  if (of.pairs) {  // a word of keys moves as a float does
    pack_keys(static_cast<const float*>(of.keys) + first * of.width / 2, count, of.width / 2, to);
  } else if (of.bfloat16) {
    pack_keys(static_cast<const Half*>(of.keys) + first * of.width, count, of.width, to);
  } else {
    pack_keys(static_cast<const float*>(of.keys) + first * of.width, count, of.width, to);
  }
}

/// Packs their values, as pack_values() or pack_value_pairs() does.
FORESIGHT_INLINE void pack_entry_values(const CachedEntries& of, std::int64_t first, std::int64_t count,
                                        float* to) {
#ifdef FORESIGHT_KERNEL_PAIRS
  if (of.pairs) {
    for_panels(of.width, [&]<int kRegisters>(std::int64_t number, Constant<kRegisters>) {
      auto* const panel = reinterpret_cast<WordAnywhere*>(to) + number * ((count + 1) / 2);
      pack_value_pairs<kRegisters>(static_cast<const Half*>(of.values) + first * of.width, count, of.width,
                                   number, panel);
    });
    return;
  }
#endif
  if (of.bfloat16) {
    pack_values(static_cast<const Half*>(of.values) + first * of.width, count, of.width, to);
  } else {
    pack_values(static_cast<const float*>(of.values) + first * of.width, count, of.width, to);
  }
}

}  // namespace
}  // namespace foresight::kernels
