// Attention of one query head in a window, for one instruction set: a .cpp file for each includes this after
// a pragma that names it and after FORESIGHT_KERNEL_LANES, the floats of a register, and
// FORESIGHT_KERNEL_REGISTERS, those of a panel; with FORESIGHT_KERNEL_PAIRS products of bfloat16 round
// queries and probabilities to bfloat16 too. Everything has internal linkage and calls nothing of the
// standard library, so that no code for one processor can be taken for another's.
#pragma once

#include "trainer/kernels/vectors.h"
#include "trainer/kernels/window_heads.h"
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
        for (std::int64_t i = 0; i < kLanes; ++i) block[i] = load(keys + (entry + i) * width + number);
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
        for (std::int64_t i = 0; i < kNumbers; i += kLanes) store(to + i, load(from + i));
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

/// Sums of a panel's values weighted by kRows rows of probabilities, into output rows of which `numbers`
/// exist.
template <int kRows, int kRegisters>
FORESIGHT_INLINE void add_up(const float* probabilities, std::int64_t stride, std::int64_t visible,
                             const float* panel, float* output, std::int64_t output_stride,
                             std::int64_t numbers) {
  Lanes sums[kRows][kRegisters] = {};
  for (std::int64_t entry = 0; entry < visible; ++entry) {
    for (int part = 0; part < kRegisters; ++part) {
      const Lanes values = load(panel + (entry * kRegisters + part) * kLanes);
      for (int row = 0; row < kRows; ++row) sums[row][part] += probabilities[row * stride + entry] * values;
    }
  }
  store_sums<kRows, kRegisters>(sums, output, output_stride, numbers);
}

/// Products [visible] in place to their softmax, beside a sink where there is one; what follows up to whole
/// registers becomes 0.
FORESIGHT_INLINE void softmax(float* row, std::int64_t visible, std::int64_t padded, float scale,
                              const float* sink) {
  for (std::int64_t i = visible; i < padded; ++i) row[i] = kLowest;
  Lanes peaks = load(row);
  for (std::int64_t i = kLanes; i < padded; i += kLanes) {
    const Lanes some = load(row + i);
    peaks = some > peaks ? some : peaks;
  }
  float largest = peaks[0];
  for (std::int64_t lane = 1; lane < kLanes; ++lane) largest = peaks[lane] > largest ? peaks[lane] : largest;
  Lanes sums = {};
  if (sink != nullptr) {
    const float product = *sink / scale;
    largest = product > largest ? product : largest;
    sums[0] = exponential(Lanes{} + (product - largest) * scale)[0];
  }
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    const Lanes power = exponential((load(row + i) - largest) * scale);
    store(row + i, power);
    sums += power;
  }
  float sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  const float share = 1.0F / sum;
  for (std::int64_t i = 0; i < padded; i += kLanes) store(row + i, load(row + i) * share);
}

/// Takes kRows rows of probabilities, of queries from `place` of the window, into the statistics of the
/// entries from `entry`: of a register of them, or of one. Sums are added query by query, so that they do not
/// depend on how many queries come together.
template <int kRows, typename Value>
FORESIGHT_INLINE void observe(const WindowWork& of, const float* probabilities, std::int64_t stride,
                              std::int64_t place, float* statistics) {
  Value rows[kRows];
  for (int row = 0; row < kRows; ++row) rows[row] = read<Value>(probabilities + row * stride);
  const auto at = [&](Statistic statistic) { return statistics + statistic * of.capacity; };
  Value highest = read<Value>(at(kMaximum)), lowest = read<Value>(at(kMinimum)), sum = read<Value>(at(kSum));
  for (int row = 0; row < kRows; ++row) {
    highest = rows[row] > highest ? rows[row] : highest;
    lowest = rows[row] < lowest ? rows[row] : lowest;
    sum += rows[row];
  }
  write(at(kMaximum), highest);
  write(at(kMinimum), lowest);
  write(at(kSum), sum);
  for (const PartialSum& partial : kPartialSums) {
    const std::int64_t begin = of.window - partial.queries - place;
    if (begin >= kRows) continue;
    Value some = read<Value>(at(partial.statistic));
    for (int row = 0; row < kRows; ++row) {
      if (row >= begin) some += rows[row];
    }
    write(at(partial.statistic), some);
  }
}

#ifdef FORESIGHT_KERNEL_PAIRS
/// Whether this head's keys and values are packed as words.
FORESIGHT_INLINE bool in_pairs(const WindowWork& of) {
  return of.bfloat16 && of.width % 2 == 0;
}

/// score() and weigh() below, of words, with queries and probabilities rounded.
template <int kRows>
FORESIGHT_INLINE void score_pairs(const WindowWork& of, const PackedHead& head, std::int64_t token,
                                  std::int64_t visible) {
  auto* const rounded = static_cast<Half*>(head.halves);
  for (int row = 0; row < kRows; ++row)
    round_to_halves(head.query + (token + row) * of.query_token, of.width, rounded + row * of.width);
  const std::int64_t pairs = of.width / 2;
  const auto* const keys = static_cast<const Word*>(head.keys);
  for_panels(of.live, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    if (first >= visible) return;
    multiply_pairs<kRows, kRegisters>(reinterpret_cast<const WordAnywhere*>(rounded), pairs,
                                      keys + first * pairs, head.scores + first, head.score_stride);
  });
}

template <int kRows>
FORESIGHT_INLINE void weigh_pairs(const WindowWork& of, const PackedHead& head, std::int64_t visible,
                                  float* output, std::int64_t output_stride) {
  auto* const rounded = static_cast<Half*>(head.halves);
  for (int row = 0; row < kRows; ++row)
    round_to_halves(head.scores + row * head.score_stride, visible, rounded + row * head.score_stride);
  const auto* const values = static_cast<const Word*>(head.values);
  const std::int64_t pairs = (of.live + 1) / 2;
  for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    Lanes sums[kRows][kRegisters] = {};
    sum_pairs<kRows, kRegisters>(reinterpret_cast<const WordAnywhere*>(rounded), head.score_stride / 2,
                                 (visible + 1) / 2, values + first * pairs, sums);
    store_sums<kRows, kRegisters>(sums, output + first, output_stride, of.width - first);
  });
}
#endif

/// Products of kRows queries from `token` with the entries that the last of them sees.
template <int kRows>
FORESIGHT_INLINE void score(const WindowWork& of, const PackedHead& head, std::int64_t token,
                            std::int64_t visible) {
#ifdef FORESIGHT_KERNEL_PAIRS
  if (in_pairs(of)) return score_pairs<kRows>(of, head, token, visible);
#endif
  const auto* const keys = static_cast<const float*>(head.keys);
  for_panels(of.live, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    if (first >= visible) return;
    multiply<kRows, kRegisters>(head.query + token * of.query_token, of.query_token, keys + first * of.width,
                                of.width, head.scores + first, head.score_stride);
  });
}

/// Sums of the values weighted by kRows rows of probabilities.
template <int kRows>
FORESIGHT_INLINE void weigh(const WindowWork& of, const PackedHead& head, std::int64_t visible, float* output,
                            std::int64_t output_stride) {
#ifdef FORESIGHT_KERNEL_PAIRS
  if (in_pairs(of)) return weigh_pairs<kRows>(of, head, visible, output, output_stride);
#endif
  const auto* const values = static_cast<const float*>(head.values);
  for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    add_up<kRows, kRegisters>(head.scores, head.score_stride, visible, values + first * of.live,
                              output + first, output_stride, of.width - first);
  });
}

/// kRows queries from `token`.
template <int kRows>
FORESIGHT_INLINE void attend(const WindowWork& of, const PackedHead& head, std::int64_t token) {
  const std::int64_t before = of.live - of.tokens + token, visible = before + kRows;  // of the last query
  const std::int64_t padded = (visible + kLanes - 1) / kLanes * kLanes, stride = head.score_stride;
  score<kRows>(of, head, token, visible);
  for (int row = 0; row < kRows; ++row)
    softmax(head.scores + row * stride, before + row + 1, padded, of.scale, head.sink);
  const std::int64_t place = of.first + token;
  std::int64_t entry = 0;
  for (; entry + kLanes <= visible; entry += kLanes)
    observe<kRows, Lanes>(of, head.scores + entry, stride, place, head.statistics + entry);
  for (; entry < visible; ++entry)
    observe<kRows, float>(of, head.scores + entry, stride, place, head.statistics + entry);
  const std::int64_t output_stride = of.kv_heads * of.group * of.width;
  weigh<kRows>(of, head, visible, head.output + token * output_stride, output_stride);
}

/// A window's statistics begin with its first query, those of new entries at zero; the smallest attention of
/// an entry that all queries see has no bound yet.
FORESIGHT_INLINE void begin_statistics(const WindowWork& of, float* statistics) {
  const std::int64_t before = of.live - of.tokens, seen_by_all = of.first == 0 ? before + 1 : 0;
  for (std::int64_t statistic = 0; statistic < kStatistics; ++statistic) {
    float* const row = statistics + statistic * of.capacity;
    for (std::int64_t entry = of.first == 0 ? 0 : before; entry < of.live; ++entry)
      row[entry] = statistic == kMinimum && entry < seen_by_all ? kUnbounded : 0.0F;
  }
}

FORESIGHT_INLINE void attend_head(const WindowWork& of, const PackedHead& head) {
  begin_statistics(of, head.statistics);
  std::int64_t token = 0;
  for (; token + 6 <= of.tokens; token += 6) attend<6>(of, head, token);
  for (; token + 4 <= of.tokens; token += 4) attend<4>(of, head, token);
  for (; token < of.tokens; ++token) attend<1>(of, head, token);
}

FORESIGHT_INLINE void pack_head(const WindowWork& of, std::int64_t kv_head, float* keys, float* values) {
  const std::int64_t begin = kv_head * of.capacity * of.width;
#ifdef FORESIGHT_KERNEL_PAIRS
  if (in_pairs(of)) {
    // A word of keys moves as a float does.
    pack_keys(static_cast<const float*>(of.keys) + begin / 2, of.live, of.width / 2, keys);
    for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
      auto* const panel = reinterpret_cast<WordAnywhere*>(values) + first * ((of.live + 1) / 2);
      pack_value_pairs<kRegisters>(static_cast<const Half*>(of.values) + begin, of.live, of.width, first,
                                   panel);
    });
    return;
  }
#endif
  if (of.bfloat16) {
    pack_keys(static_cast<const Half*>(of.keys) + begin, of.live, of.width, keys);
    pack_values(static_cast<const Half*>(of.values) + begin, of.live, of.width, values);
  } else {
    pack_keys(static_cast<const float*>(of.keys) + begin, of.live, of.width, keys);
    pack_values(static_cast<const float*>(of.values) + begin, of.live, of.width, values);
  }
}

FORESIGHT_INLINE void attend_heads(const WindowWork& of, const WindowRoom& room, std::int64_t first,
                                   std::int64_t last) {
  const std::int64_t heads = of.kv_heads * of.group;
  std::int64_t packed = -1;
  for (std::int64_t head = first; head < last; ++head) {
    const std::int64_t row = head / heads, own = head % heads, kv_head = head / of.group;
    if (kv_head != packed) pack_head(of, kv_head, room.keys, room.values);
    packed = kv_head;
    attend_head(of, {.query = of.query + row * of.query_row + own * of.query_head,
                     .keys = room.keys,
                     .values = room.values,
                     .scores = room.scores,
                     .halves = room.halves,
                     .score_stride = room.score_stride,
                     .output = of.output + (row * of.tokens * heads + own) * of.width,
                     .statistics = of.statistics + head * kStatistics * of.capacity,
                     .sink = of.sinks == nullptr ? nullptr : of.sinks + own});
  }
}

}  // namespace
}  // namespace foresight::kernels
