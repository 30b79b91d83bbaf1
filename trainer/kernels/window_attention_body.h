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

#ifdef FORESIGHT_KERNEL_TILES
/// The same of at most 16 queries, in tiles.
FORESIGHT_INLINE void score_in_tiles(const WindowWork& of, const PackedHead& head, std::int64_t token,
                                     std::int64_t rows, std::int64_t visible) {
  auto* const rounded = static_cast<Half*>(head.halves);
  round_rows(head.query + token * of.query_token, of.query_token, rows, of.width, rounded, of.width);
  const std::int64_t pairs = of.width / 2;
  for_panels(of.live, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    if (first >= visible) return;
    multiply_tiles<kRegisters>(rounded, pairs, static_cast<const Word*>(head.keys) + first * pairs,
                               head.scores + first, head.score_stride);
  });
}

FORESIGHT_INLINE void weigh_in_tiles(const WindowWork& of, const PackedHead& head, std::int64_t rows,
                                     std::int64_t visible, float* output, std::int64_t output_stride) {
  auto* const rounded = static_cast<Half*>(head.halves);
  round_rows(head.scores, head.score_stride, rows, visible, rounded, head.score_stride);
  const std::int64_t pairs = (of.live + 1) / 2;
  for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    alignas(64) float sums[kTileRows * kRegisters * kLanes];
    clear_sums<kRegisters>();
    sum_tiles<kRegisters>(rounded, head.score_stride, (visible + 1) / 2,
                          static_cast<const Word*>(head.values) + first * pairs, pairs);
    store_tiles<kRegisters>(sums, kRegisters * kLanes);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < kRegisters * kLanes; i += kLanes)
        store(output + row * output_stride + first + i, load(sums + row * kRegisters * kLanes + i));
    }
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

/// Takes the probabilities of kRows queries, of which the first has `place` in the window, into the
/// statistics of the first `visible` entries.
template <int kRows>
FORESIGHT_INLINE void observe_rows(const WindowWork& of, const PackedHead& head, const float* probabilities,
                                   std::int64_t place, std::int64_t visible) {
  const std::int64_t stride = head.score_stride;
  std::int64_t entry = 0;
  for (; entry + kLanes <= visible; entry += kLanes)
    observe<kRows, Lanes>(of, probabilities + entry, stride, place, head.statistics + entry);
  for (; entry < visible; ++entry)
    observe<kRows, float>(of, probabilities + entry, stride, place, head.statistics + entry);
}

/// `rows` queries from `token`, kRows of them or those of a tile.
template <int kRows>
FORESIGHT_INLINE void attend(const WindowWork& of, const PackedHead& head, std::int64_t token,
                             std::int64_t rows) {
  const std::int64_t before = of.live - of.tokens + token, visible = before + rows;  // of the last query
  const std::int64_t padded = (visible + kLanes - 1) / kLanes * kLanes, stride = head.score_stride;
  const std::int64_t output_stride = of.kv_heads * of.group * of.width;
  float* const output = head.output + token * output_stride;
  const auto to_probabilities = [&] {
    for (std::int64_t row = 0; row < rows; ++row)
      softmax(head.scores + row * stride, before + row + 1, padded, of.scale, head.sink);
  };
#ifdef FORESIGHT_KERNEL_TILES
  if constexpr (kRows == kTileRows) {
    score_in_tiles(of, head, token, rows, visible);
    to_probabilities();
    for_groups(false, rows, [&]<int kSome>(std::int64_t row, std::int64_t, Constant<kSome>) {
      observe_rows<kSome>(of, head, head.scores + row * stride, of.first + token + row, visible);
    });
    weigh_in_tiles(of, head, rows, visible, output, output_stride);
    return;
  }
#endif
  score<kRows>(of, head, token, visible);
  to_probabilities();
  observe_rows<kRows>(of, head, head.scores, of.first + token, visible);
  weigh<kRows>(of, head, visible, output, output_stride);
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

FORESIGHT_INLINE void attend_head(const WindowWork& of, const PackedHead& head, bool tiles) {
  begin_statistics(of, head.statistics);
  for_groups(tiles, of.tokens, [&]<int kRows>(std::int64_t token, std::int64_t rows, Constant<kRows>) {
    attend<kRows>(of, head, token, rows);
  });
}

FORESIGHT_INLINE void attend_heads(const WindowWork& of, const WindowRoom& room, std::int64_t first,
                                   std::int64_t last) {
  const std::int64_t heads = of.kv_heads * of.group;
  const bool tiles = in_tiles(in_pairs(of.bfloat16, of.width), of.width);
  const WholeTiles whole(tiles);
  std::int64_t packed = -1;
  for (std::int64_t head = first; head < last; ++head) {
    const std::int64_t row = head / heads, own = head % heads, kv_head = head / of.group;
    if (kv_head != packed) {
      const CachedEntries entries = entries_from(of, kv_head * of.capacity);
      pack_entry_keys(entries, 0, of.live, room.keys);
      pack_entry_values(entries, 0, of.live, room.values);
    }
    packed = kv_head;
    const PackedHead work = {.query = of.query + row * of.query_row + own * of.query_head,
                             .keys = room.keys,
                             .values = room.values,
                             .scores = room.scores,
                             .halves = room.halves,
                             .score_stride = room.score_stride,
                             .output = of.output + (row * of.tokens * heads + own) * of.width,
                             .statistics = of.statistics + head * kStatistics * of.capacity,
                             .sink = of.sinks == nullptr ? nullptr : of.sinks + own};
    attend_head(of, work, tiles);
  }
}

}  // namespace
}  // namespace foresight::kernels
