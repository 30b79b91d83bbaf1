// Attention of a cache that keeps everything, for one instruction set (attention_panels.h says how). A query
// of any head of a group is a row of its own here: row r is token r / g, head r % g.
#pragma once

#include "trainer/kernels/attention_functions.h"
#include "trainer/kernels/attention_panels.h"

namespace foresight::kernels {
namespace {

/// What the queries of a row see of a KV head.
struct SeenEntries : CachedEntries {
  std::int64_t live = 0, before = 0;  ///< entries, and those before the queries' own; may be negative
};

FORESIGHT_INLINE std::int64_t smaller(std::int64_t one, std::int64_t other) {
  return one < other ? one : other;
}

FORESIGHT_INLINE SeenEntries seen_entries(const FullWork& of, std::int64_t row, std::int64_t kv_head) {
  const std::int64_t hidden = of.hidden == nullptr ? 0 : smaller(of.hidden[row], of.live);
  return {entries_from(of, (row * of.kv_heads + kv_head) * of.capacity + hidden), of.live - hidden,
          of.live - of.tokens - hidden};
}

/// Rows first .. first + count - 1 of the queries side by side, rounded where products round.
FORESIGHT_INLINE void gather_queries(const FullWork& of, [[maybe_unused]] bool pairs, std::int64_t row,
                                     std::int64_t kv_head, std::int64_t first, std::int64_t count,
                                     float* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t token = (first + i) / of.group, head = kv_head * of.group + (first + i) % of.group;
    const float* const query = of.query + row * of.query_row + head * of.query_head + token * of.query_token;
#ifdef FORESIGHT_KERNEL_PAIRS
    if (pairs) {
      round_to_halves(query, of.width, reinterpret_cast<Half*>(to) + i * of.width);
      continue;
    }
#endif
    for (std::int64_t number = 0; number < of.width; ++number) to[i * of.width + number] = query[number];
  }
}

/// Products of kRows gathered queries from `row` with the first `visible` of a tile's `count` entries.
template <int kRows>
FORESIGHT_INLINE void score_tile(const FullWork& of, [[maybe_unused]] bool pairs, const float* queries,
                                 std::int64_t row, const float* keys, std::int64_t count,
                                 std::int64_t visible, float* scores, std::int64_t stride) {
  for_panels(count, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    if (first >= visible) return;
#ifdef FORESIGHT_KERNEL_TILES
    if constexpr (kRows == kTileRows) {
      multiply_tiles<kRegisters>(reinterpret_cast<const Half*>(queries) + row * of.width, of.width / 2,
                                 reinterpret_cast<const Word*>(keys) + first * (of.width / 2), scores + first,
                                 stride);
      return;
    }
#endif
#ifdef FORESIGHT_KERNEL_PAIRS
    if (pairs) {
      const std::int64_t words = of.width / 2;
      multiply_pairs<kRows, kRegisters>(reinterpret_cast<const WordAnywhere*>(queries) + row * words, words,
                                        reinterpret_cast<const Word*>(keys) + first * words, scores + first,
                                        stride);
      return;
    }
#endif
    multiply<kRows, kRegisters>(queries + row * of.width, of.width, keys + first * of.width, of.width,
                                scores + first, stride);
  });
}

/// sums [rows, padded width] += the first `visible` of a tile's `count` values, weighted.
template <int kRows>
FORESIGHT_INLINE void weigh_tile(const FullWork& of, [[maybe_unused]] bool pairs, const float* weights,
                                 [[maybe_unused]] std::int64_t rows, std::int64_t stride, const float* values,
                                 std::int64_t count, std::int64_t visible, [[maybe_unused]] float* rounded,
                                 float* sums) {
  const std::int64_t sum_stride = padded_to_registers(of.width);
#ifdef FORESIGHT_KERNEL_PAIRS
  auto* const halves = reinterpret_cast<Half*>(rounded);
#endif
#ifdef FORESIGHT_KERNEL_TILES
  if constexpr (kRows == kTileRows) {
    round_rows(weights, stride, rows, visible, halves, kEntriesTogether);
    for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
      load_sums<kRegisters>(sums + first, sum_stride);
      sum_tiles<kRegisters>(halves, kEntriesTogether, (visible + 1) / 2,
                            reinterpret_cast<const Word*>(values) + first * ((count + 1) / 2),
                            (count + 1) / 2);
      store_tiles<kRegisters>(sums + first, sum_stride);
    });
    return;
  }
#endif
#ifdef FORESIGHT_KERNEL_PAIRS
  for (int row = 0; pairs && row < kRows; ++row)
    round_to_halves(weights + row * stride, visible, halves + row * kEntriesTogether);
#endif
  for_panels(of.width, [&]<int kRegisters>(std::int64_t first, Constant<kRegisters>) {
    Lanes some[kRows][kRegisters];
    for (int row = 0; row < kRows; ++row) {
      for (int part = 0; part < kRegisters; ++part)
        some[row][part] = load(sums + row * sum_stride + first + part * kLanes);
    }
#ifdef FORESIGHT_KERNEL_PAIRS
    if (pairs) {
      sum_pairs<kRows, kRegisters>(reinterpret_cast<const WordAnywhere*>(halves), kEntriesTogether / 2,
                                   (visible + 1) / 2,
                                   reinterpret_cast<const Word*>(values) + first * ((count + 1) / 2), some);
    } else {
      add_up<kRows, kRegisters>(weights, stride, visible, values + first * count, some);
    }
#else
    add_up<kRows, kRegisters>(weights, stride, visible, values + first * count, some);
#endif
    for (int row = 0; row < kRows; ++row) {
      for (int part = 0; part < kRegisters; ++part)
        store(sums + row * sum_stride + first + part * kLanes, some[row][part]);
    }
  });
}

/// Adds kRows rows of probabilities to the columns of their entries, row by row.
template <int kRows>
FORESIGHT_INLINE void add_columns(const float* probabilities, std::int64_t stride, std::int64_t padded,
                                  float* columns) {
  for (std::int64_t entry = 0; entry < padded; entry += kLanes) {
    Lanes sum = load(columns + entry);
    for (int row = 0; row < kRows; ++row) sum += load(probabilities + row * stride + entry);
    store(columns + entry, sum);
  }
}

FORESIGHT_INLINE void clear(float* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) from[i] = 0.0F;
}

FORESIGHT_INLINE std::int64_t to_whole_registers(std::int64_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

/// Softmax of `rows` rows of products, of which the first is row `row` of the queries; where nothing is seen,
/// zeros. What the last row sees in whole registers is written of all.
FORESIGHT_INLINE void softmax_of_rows(const FullWork& of, const SeenEntries& seen, std::int64_t kv_head,
                                      std::int64_t row, std::int64_t rows, std::int64_t padded, float* scores,
                                      std::int64_t stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t visible = seen.before + (row + i) / of.group + 1;
    const std::int64_t head = kv_head * of.group + (row + i) % of.group;
    if (visible <= 0) {
      clear(scores + i * stride, padded);
    } else {
      softmax(scores + i * stride, visible, padded, of.scale,
              of.sinks == nullptr ? nullptr : of.sinks + head);
    }
  }
}

FORESIGHT_INLINE void write_output(const FullWork& of, std::int64_t row, std::int64_t token,
                                   std::int64_t head, const float* sums) {
  float* const output = of.output + ((row * of.tokens + token) * of.kv_heads * of.group + head) * of.width;
  std::int64_t number = 0;
  for (; number + kLanes <= of.width; number += kLanes) store(output + number, load(sums + number));
  for (; number < of.width; ++number) output[number] = sums[number];
}

/// Rows first .. first + count - 1 of the queries, whose probabilities are added to `columns` if that is not
/// null.
FORESIGHT_INLINE void attend_rows(const FullWork& of, const SeenEntries& seen, std::int64_t row,
                                  std::int64_t kv_head, const PackedEntries& packed, const FullRoom& room,
                                  std::int64_t first, std::int64_t count, float* columns) {
  const std::int64_t stride = room.score_stride, sum_stride = padded_to_registers(of.width);
  const auto seen_by = [&](std::int64_t last) {  // of the rows up to the one before `last`
    const std::int64_t visible = seen.before + (last - 1) / of.group + 1;
    return visible < 0 ? 0 : visible;
  };
  gather_queries(of, seen.pairs, row, kv_head, first, count, room.queries);
  const bool tiles = in_tiles(seen.pairs, of.width);
  const std::int64_t most = seen_by(first + count), key_words = seen.pairs ? of.width / 2 : of.width;
  for (std::int64_t tile = 0; tile < most; tile += kEntriesTogether) {
    for_groups(tiles, count, [&]<int kRows>(std::int64_t begin, std::int64_t rows, Constant<kRows>) {
      const std::int64_t visible = smaller(kEntriesTogether, seen_by(first + begin + rows) - tile);
      if (visible <= 0) return;
      score_tile<kRows>(of, seen.pairs, room.queries, begin, packed.keys + tile * key_words,
                        smaller(kEntriesTogether, seen.live - tile), visible,
                        room.scores + begin * stride + tile, stride);
    });
  }
  for_groups(tiles, count, [&]<int kRows>(std::int64_t begin, std::int64_t rows, Constant<kRows>) {
    const std::int64_t padded = to_whole_registers(seen_by(first + begin + rows));
    float* const scores = room.scores + begin * stride;
    softmax_of_rows(of, seen, kv_head, first + begin, rows, padded, scores, stride);
    if (columns == nullptr) return;
    for_groups(false, rows, [&]<int kSome>(std::int64_t i, std::int64_t, Constant<kSome>) {
      add_columns<kSome>(scores + i * stride, stride, padded, columns);
    });
  });
  clear(room.sums, count * sum_stride);
  const std::int64_t value_rows = seen.pairs ? 2 : 1;  // of entries in a row of packed values
  for (std::int64_t tile = 0; tile < most; tile += kEntriesTogether) {
    for_groups(tiles, count, [&]<int kRows>(std::int64_t begin, std::int64_t rows, Constant<kRows>) {
      const std::int64_t visible = smaller(kEntriesTogether, seen_by(first + begin + rows) - tile);
      if (visible <= 0) return;
      weigh_tile<kRows>(of, seen.pairs, room.scores + begin * stride + tile, rows, stride,
                        packed.values + tile / value_rows * sum_stride,
                        smaller(kEntriesTogether, seen.live - tile), visible, room.rounded,
                        room.sums + begin * sum_stride);
    });
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t token = (first + i) / of.group, head = kv_head * of.group + (first + i) % of.group;
    write_output(of, row, token, head, room.sums + i * sum_stride);
  }
}

FORESIGHT_INLINE void pack_tiles(const FullWork& of, std::int64_t row, std::int64_t kv_head,
                                 std::int64_t first, std::int64_t last, const PackedEntries& to) {
  const SeenEntries seen = seen_entries(of, row, kv_head);
  const std::int64_t sum_stride = padded_to_registers(of.width);
  for (std::int64_t begin = first * kEntriesTogether; begin < smaller(last * kEntriesTogether, seen.live);
       begin += kEntriesTogether) {
    const std::int64_t count = smaller(kEntriesTogether, seen.live - begin);
    pack_entry_keys(seen, begin, count, to.keys + begin * of.width / (seen.pairs ? 2 : 1));
    pack_entry_values(seen, begin, count, to.values + begin * sum_stride / (seen.pairs ? 2 : 1));
  }
}

FORESIGHT_INLINE void attend_tokens(const FullWork& of, std::int64_t row, std::int64_t kv_head,
                                    const PackedEntries& packed, const FullRoom& room, std::int64_t token,
                                    std::int64_t count) {
  const SeenEntries seen = seen_entries(of, row, kv_head);
  const std::int64_t first = token * of.group, last = (token + count) * of.group;
  const std::int64_t entries = of.live - of.tokens + token + count;  // none is hidden where means are wanted
  float* const columns = of.means == nullptr ? nullptr : room.columns;
  const WholeTiles whole(in_tiles(seen.pairs, of.width));
  if (columns != nullptr) clear(columns, to_whole_registers(entries));
  for (std::int64_t begin = first; begin < last; begin += room.rows_together)
    attend_rows(of, seen, row, kv_head, packed, room, begin, smaller(room.rows_together, last - begin),
                columns);
  if (columns == nullptr) return;
  const std::int64_t windows = (of.tokens + of.window - 1) / of.window, window = token / of.window;
  float* const means = of.means + ((row * of.kv_heads + kv_head) * windows + window) * of.capacity;
  const float share = 1.0F / static_cast<float>(last - first);
  for (std::int64_t entry = 0; entry < entries; ++entry) means[entry] = columns[entry] * share;
}

#ifdef FORESIGHT_KERNEL_TILES
/// Gathered queries of `rows` rows, halves, to words [width / 2, 16] of each 16 of them: what tiles multiply
/// rows of keys with. Rows that are none may be anything.
FORESIGHT_INLINE void turn_queries(const FullWork& of, const float* queries, std::int64_t rows, Word* to) {
  const std::int64_t pairs = of.width / 2;
  const auto* const words = reinterpret_cast<const WordAnywhere*>(queries);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t pair = 0; pair < pairs; ++pair)
      to[(row / kTileRows * pairs + pair) * kTileRows + row % kTileRows] = words[row * pairs + pair];
  }
}

/// Products of `rows` turned queries with `count` entries from `first` on, whose keys are rows of tiles as
/// they lie in the cache: few queries are not worth packing them.
FORESIGHT_INLINE void score_from_cache(const SeenEntries& seen, const Word* queries, std::int64_t rows,
                                       std::int64_t first, std::int64_t count, float* scores,
                                       std::int64_t stride) {
  alignas(64) float products[kTileRows * kTileRows];
  alignas(64) Half rest[kTileRows * kLargestWidth];
  const std::int64_t bytes = seen.width * static_cast<std::int64_t>(sizeof(Half)),
                     all = kTileRows * seen.width;
  for (std::int64_t entry = 0; entry < count; entry += kTileRows) {
    const Half* keys = static_cast<const Half*>(seen.keys) + (first + entry) * seen.width;
    const std::int64_t known = (count - entry) * seen.width;
    if (known < all) {  // what lies behind the last entry may not be there
      for (std::int64_t i = 0; i < all; ++i) rest[i] = i < known ? keys[i] : Half{0};
      keys = rest;
    } else {
      for (std::int64_t i = 0; i < all; i += kTileHalves) ask_ahead(keys + i, seen.width);
    }
    FORESIGHT_TILE_CLEAR(0);
    for (std::int64_t pair = 0; pair < seen.width / 2; pair += kTileWords) {
      FORESIGHT_TILE_LOAD(1, keys + 2 * pair, bytes);
      FORESIGHT_TILE_LOAD(2, queries + pair * kTileRows, kTileWords * kBytesOfWord);
      FORESIGHT_TILE_ADD(0, 1, 2);
    }
    FORESIGHT_TILE_STORE(0, products, kTileRows * kBytesOfWord);
    Lanes block[kLanes];
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kLanes; ++i) block[i] = load(products + i * kTileRows);
    transpose(block);
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < kLanes; ++i) {
      if (i < rows) store(scores + i * stride + entry, block[i]);
    }
  }
}
#endif

FORESIGHT_INLINE void attend_chunk(const FullWork& of, std::int64_t row, std::int64_t kv_head,
                                   const FullRoom& room, const PackedEntries& tile_room, std::int64_t first,
                                   std::int64_t most, const ChunkSums& to) {
  const SeenEntries seen = seen_entries(of, row, kv_head);
  const std::int64_t count = first < seen.live ? smaller(most, seen.live - first) : 0;
  const std::int64_t rows = of.tokens * of.group, stride = room.score_stride,
                     sum_stride = padded_to_registers(of.width);
  const auto in_chunk = [&](std::int64_t last) {  // entries of it that rows up to the one before `last` see
    const std::int64_t visible = seen.before + (last - 1) / of.group + 1 - first;
    return visible < 0 ? 0 : smaller(visible, count);
  };
  const bool tiles = in_tiles(seen.pairs, of.width);
  const WholeTiles whole(tiles);
  gather_queries(of, seen.pairs, row, kv_head, 0, rows, room.queries);
#ifdef FORESIGHT_KERNEL_TILES
  // Halves take half of the room.
  Word* const turned =
      reinterpret_cast<Word*>(room.queries) + (rows + kTileRows - 1) / kTileRows * kTileRows * of.width / 2;
  if (tiles) turn_queries(of, room.queries, rows, turned);
#endif
  for (std::int64_t tile = 0; tile < count; tile += kEntriesTogether) {
    const std::int64_t entries = smaller(kEntriesTogether, count - tile);
#ifdef FORESIGHT_KERNEL_TILES
    if (tiles) {
      for (std::int64_t begin = 0; begin < rows; begin += kTileRows)
        score_from_cache(seen, turned + begin * of.width / 2, smaller(kTileRows, rows - begin), first + tile,
                         entries, room.scores + begin * stride + tile, stride);
      continue;
    }
#endif
    pack_entry_keys(seen, first + tile, entries, tile_room.keys);
    for_groups(tiles, rows, [&]<int kRows>(std::int64_t begin, std::int64_t, Constant<kRows>) {
      score_tile<kRows>(of, seen.pairs, room.queries, begin, tile_room.keys, entries, entries,
                        room.scores + begin * stride + tile, stride);
    });
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    float* const scores = room.scores + i * stride;
    const std::int64_t visible = in_chunk(i + 1), padded = to_whole_registers(count);
    for (std::int64_t entry = visible; entry < padded; ++entry) scores[entry] = kLowest;
    const float largest = visible == 0 ? kLowest : largest_of(scores, padded);
    const bool sees = largest > kLowest || largest != largest;
    to.largest[i] = sees ? largest : kLowest;
    if (!sees) clear(scores, padded);
    to.weights[i] = sees ? to_powers(scores, padded, largest, of.scale, Lanes{}) : 0.0F;
  }
  clear(room.sums, rows * sum_stride);
  for (std::int64_t tile = 0; tile < count; tile += kEntriesTogether) {
    const std::int64_t entries = smaller(kEntriesTogether, count - tile);
    pack_entry_values(seen, first + tile, entries, tile_room.values);
    for_groups(tiles, rows, [&]<int kRows>(std::int64_t begin, std::int64_t some, Constant<kRows>) {
      weigh_tile<kRows>(of, seen.pairs, room.scores + begin * stride + tile, some, stride, tile_room.values,
                        entries, entries, room.rounded, room.sums + begin * sum_stride);
    });
  }
  for (std::int64_t i = 0; i < rows * sum_stride; i += kLanes) store(to.values + i, load(room.sums + i));
}

FORESIGHT_INLINE void merge_chunks(const FullWork& of, std::int64_t row, std::int64_t kv_head,
                                   const ChunkSums& from, std::int64_t chunks) {
  const SeenEntries seen = seen_entries(of, row, kv_head);
  const std::int64_t rows = of.tokens * of.group, sum_stride = padded_to_registers(of.width);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t token = i / of.group, head = kv_head * of.group + i % of.group;
    float largest = of.sinks == nullptr ? kLowest : of.sinks[head] / of.scale;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float other = from.largest[chunk * rows + i];
      largest = other > largest ? other : largest;
    }
    const auto power = [&](float product) {
      return exponential(Lanes{} + (product - largest) * of.scale)[0];
    };
    float weights = of.sinks == nullptr ? 0.0F : power(of.sinks[head] / of.scale);
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
      weights += power(from.largest[chunk * rows + i]) * from.weights[chunk * rows + i];
    // Without weights all sums are 0: right for padding, which sees nothing, and no number for others.
    const bool sees = seen.before + token + 1 > 0;
    const float whole = weights != 0.0F ? weights : sees ? kNoNumber : 1.0F;
    float* const sums = from.values + i * sum_stride;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float share = power(from.largest[chunk * rows + i]) / whole;
      const float* const values = from.values + (chunk * rows + i) * sum_stride;
      for (std::int64_t number = 0; number < sum_stride; number += kLanes) {
        const Lanes part = share * load(values + number);
        store(sums + number, chunk == 0 ? part : load(sums + number) + part);
      }
    }
    write_output(of, row, token, head, sums);
  }
}

}  // namespace
}  // namespace foresight::kernels
