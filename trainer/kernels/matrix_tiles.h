// Products of bfloat16 in units for matrices (AMX), for attention_panels.h: tiles of 16 rows of queries or
// probabilities by 16 words, with the panels of words that bfloat16_pairs.h describes as they lie. Rows do
// not depend on each other, and each is summed in the order of its words. Without FORESIGHT_KERNEL_TILES
// nothing is in tiles. Everything has internal linkage.
#pragma once

#include "trainer/kernels/vectors.h"
#ifdef FORESIGHT_KERNEL_TILES
#include "trainer/kernels/bfloat16_pairs.h"
#endif

namespace foresight::kernels {
namespace {

/// Rows of a tile.
constexpr int kTileRows = 16;

/// While it lives, all tiles of this thread have 16 rows of 64 bytes, if they are used.
class WholeTiles {
 public:
  explicit WholeTiles([[maybe_unused]] bool used) {
#ifdef FORESIGHT_KERNEL_TILES
    used_ = used;
    if (!used) return;
    struct alignas(64) Layout {
      std::uint8_t palette = 1, start = 0, reserved[14] = {};
      std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    const Layout layout;
    asm volatile("ldtilecfg %0" ::"m"(layout) : "memory");
#endif
  }
  ~WholeTiles() {
#ifdef FORESIGHT_KERNEL_TILES
    if (used_) asm volatile("tilerelease" ::);
#endif
  }
  WholeTiles(const WholeTiles&) = delete;
  WholeTiles& operator=(const WholeTiles&) = delete;
  WholeTiles(WholeTiles&&) = delete;
  WholeTiles& operator=(WholeTiles&&) = delete;

 private:
#ifdef FORESIGHT_KERNEL_TILES
  bool used_ = false;
#endif
};

/// Whether vectors of this many numbers, in words, are whole tiles.
FORESIGHT_INLINE bool in_tiles([[maybe_unused]] bool pairs, [[maybe_unused]] std::int64_t width) {
#ifdef FORESIGHT_KERNEL_TILES
  constexpr std::int64_t kHalves = 32;
  return pairs && width % kHalves == 0;
#else
  return false;
#endif
}

#ifdef FORESIGHT_KERNEL_TILES
/// The words, or floats, of a tile's row, and its halves.
constexpr std::int64_t kTileWords = 16, kTileHalves = 2 * kTileWords;
constexpr std::int64_t kBytesOfWord = sizeof(Word);

// The intrinsics of GCC 12 do not tell the compiler that a load reads memory.
#define FORESIGHT_TILE_LOAD(tile, from, stride) \
  asm volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"(stride) : "memory")
#define FORESIGHT_TILE_STORE(tile, to, stride) \
  asm volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"(stride) : "memory")
#define FORESIGHT_TILE_CLEAR(tile) asm volatile("tilezero %%tmm" #tile::)
#define FORESIGHT_TILE_ADD(sums, one, other) \
  asm volatile("tdpbf16ps %%tmm" #other ", %%tmm" #one ", %%tmm" #sums::)

/// Sums 0 .. kRegisters - 1 += 16 rows of 16 words each, `row_stride` bytes apart, times 16 words of each
/// number of a panel, `panel_stride` bytes apart.
template <int kRegisters>
FORESIGHT_INLINE void add_tiles(const void* rows, std::int64_t row_stride, const Word* panel,
                                std::int64_t panel_stride) {
  FORESIGHT_TILE_LOAD(4, rows, row_stride);
  FORESIGHT_TILE_LOAD(5, panel, panel_stride);
  FORESIGHT_TILE_ADD(0, 4, 5);
  if constexpr (kRegisters > 1) {
    FORESIGHT_TILE_LOAD(6, panel + kTileWords, panel_stride);
    FORESIGHT_TILE_ADD(1, 4, 6);
    FORESIGHT_TILE_LOAD(7, panel + 2 * kTileWords, panel_stride);
    FORESIGHT_TILE_ADD(2, 4, 7);
    FORESIGHT_TILE_LOAD(5, panel + 3 * kTileWords, panel_stride);
    FORESIGHT_TILE_ADD(3, 4, 5);
  }
}

template <int kRegisters>
FORESIGHT_INLINE void clear_sums() {
  FORESIGHT_TILE_CLEAR(0);
  if constexpr (kRegisters > 1) {
    FORESIGHT_TILE_CLEAR(1);
    FORESIGHT_TILE_CLEAR(2);
    FORESIGHT_TILE_CLEAR(3);
  }
}

template <int kRegisters>
FORESIGHT_INLINE void load_sums(const float* from, std::int64_t stride) {
  const std::int64_t bytes = stride * kBytesOfWord;
  FORESIGHT_TILE_LOAD(0, from, bytes);
  if constexpr (kRegisters > 1) {
    FORESIGHT_TILE_LOAD(1, from + kTileWords, bytes);
    FORESIGHT_TILE_LOAD(2, from + 2 * kTileWords, bytes);
    FORESIGHT_TILE_LOAD(3, from + 3 * kTileWords, bytes);
  }
}

template <int kRegisters>
FORESIGHT_INLINE void store_tiles(float* to, std::int64_t stride) {
  const std::int64_t bytes = stride * kBytesOfWord;
  FORESIGHT_TILE_STORE(0, to, bytes);
  if constexpr (kRegisters > 1) {
    FORESIGHT_TILE_STORE(1, to + kTileWords, bytes);
    FORESIGHT_TILE_STORE(2, to + 2 * kTileWords, bytes);
    FORESIGHT_TILE_STORE(3, to + 3 * kTileWords, bytes);
  }
}

/// As multiply_pairs(), of 16 queries of `pairs` words, a whole count of tiles.
template <int kRegisters>
FORESIGHT_INLINE void multiply_tiles(const Half* queries, std::int64_t pairs, const Word* panel,
                                     float* scores, std::int64_t stride) {
  static_assert(kRegisters == 1 || kRegisters == 4);
  clear_sums<kRegisters>();
  for (std::int64_t pair = 0; pair < pairs; pair += kTileWords) {
    add_tiles<kRegisters>(queries + 2 * pair, pairs * kBytesOfWord, panel + pair * kRegisters * kLanes,
                          kRegisters * kLanes * kBytesOfWord);
  }
  store_tiles<kRegisters>(scores, stride);
}

/// Adds to the sums in tiles a panel of `packed` value words weighted by 16 rows of probabilities, `stride`
/// halves apart, zeros behind the `pairs` words that count up to a whole count of tiles.
template <int kRegisters>
FORESIGHT_INLINE void sum_tiles(const Half* probabilities, std::int64_t stride, std::int64_t pairs,
                                const Word* panel, std::int64_t packed) {
  constexpr std::int64_t kWords = kRegisters * kLanes;
  for (std::int64_t pair = 0; pair < pairs; pair += kTileWords) {
    const Word* words = panel + pair * kWords;
    alignas(64) Word rest[kTileRows * kWords];
    if (pair + kTileWords > packed) {  // what lies behind the panel may be anything, no numbers too
      const std::int64_t known = (packed - pair) * kWords;
      for (std::int64_t i = 0; i < kTileRows * kWords; i += kLanes)
        store_words(rest + i, i < known ? load_words(words + i) : WordLanes{});
      words = rest;
    }
    add_tiles<kRegisters>(probabilities + 2 * pair, stride * static_cast<std::int64_t>(sizeof(Half)), words,
                          kWords * kBytesOfWord);
  }
}

/// Rounds `rows` rows of `visible` floats to halves, with zeros behind up to a whole count of tiles.
FORESIGHT_INLINE void round_rows(const float* from, std::int64_t from_stride, std::int64_t rows,
                                 std::int64_t visible, Half* to, std::int64_t to_stride) {
  const std::int64_t whole = (visible + kTileHalves - 1) / kTileHalves * kTileHalves;
  for (std::int64_t row = 0; row < rows; ++row) {
    Half* const halves = to + row * to_stride;
    round_to_halves(from + row * from_stride, visible, halves);
    for (std::int64_t i = visible + visible % 2; i < whole; ++i) halves[i] = 0;
  }
}

#endif

}  // namespace
}  // namespace foresight::kernels
