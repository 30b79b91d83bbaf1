// Attention of one query head in a window, for one instruction set (attention_panels.h says how).
#pragma once

#include "trainer/kernels/attention_functions.h"
#include "trainer/kernels/attention_panels.h"

namespace foresight::kernels {
namespace {

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
  if (in_pairs(of.bfloat16, of.width)) return score_pairs<kRows>(of, head, token, visible);
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
  if (in_pairs(of.bfloat16, of.width)) return weigh_pairs<kRows>(of, head, visible, output, output_stride);
#endif
  const auto* const values = static_cast<const float*>(head.values);
  for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    Lanes sums[kRows][kRegisters] = {};
    add_up<kRows, kRegisters>(head.scores, head.score_stride, visible, values + first * of.live, sums);
    store_sums<kRows, kRegisters>(sums, output + first, output_stride, of.width - first);
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

FORESIGHT_INLINE void attend_heads(const WindowWork& of, const WindowRoom& room, std::int64_t first,
                                   std::int64_t last) {
  const std::int64_t heads = of.kv_heads * of.group;
  std::int64_t packed = -1;
  for (std::int64_t head = first; head < last; ++head) {
    const std::int64_t row = head / heads, own = head % heads, kv_head = head / of.group;
    if (kv_head != packed) {
      const CachedEntries entries = entries_from(of, kv_head * of.capacity);
      pack_entry_keys(entries, 0, of.live, room.keys);
      pack_entry_values(entries, 0, of.live, room.values);
    }
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
