// Attention on a CPU, one set of functions for each instruction set. No torch.
#pragma once

#include "trainer/kernels/full_work.h"
#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// Room of one thread, in floats: keys and values of a KV head as its products read them, and scores of a few
/// queries.
struct WindowRoom {
  float* keys = nullptr;
  float* values = nullptr;
  float* scores = nullptr;  ///< [16, score_stride]
  std::int64_t score_stride = 0;
  void* halves = nullptr;  ///< [16, the longer of score_stride and a vector] bfloat16
};

/// Numbers that a whole count of registers has room for, whatever the processor.
inline std::int64_t padded_to_registers(std::int64_t count) {
  constexpr std::int64_t kWidest = 16;
  return (count + kWidest - 1) / kWidest * kWidest;
}
/// Numbers that whole tiles of bfloat16 have room for.
inline std::int64_t padded_to_tiles(std::int64_t count) {
  constexpr std::int64_t kHalves = 32;
  return (count + kHalves - 1) / kHalves * kHalves;
}
/// Most queries that go through a product together; room for them is held in whole counts of it.
inline constexpr std::int64_t kQueriesTogether = 16;

/// One query head: what it reads packed, and where its results go.
struct PackedHead {
  const float* query = nullptr;  ///< its first
  const void* keys = nullptr;    ///< floats, or words of two bfloat16
  const void* values = nullptr;
  float* scores = nullptr;  ///< [16, score_stride]
  void* halves = nullptr;
  std::int64_t score_stride = 0;
  float* output = nullptr;      ///< [T, K * g, d], from its own head
  float* statistics = nullptr;  ///< [6, capacity]
  const float* sink = nullptr;
};

/// For one instruction set. Rows, KV heads and tiles are counted from 0.
struct AttentionFunctions {
  /// Query heads first .. last - 1 of all R * K * g, counted with the group innermost.
  void (*window_heads)(const WindowWork& work, const WindowRoom& room, std::int64_t first, std::int64_t last);
  /// Packs tiles first .. last - 1 of the entries that a row does not hide.
  void (*pack_tiles)(const FullWork& work, std::int64_t row, std::int64_t kv_head, std::int64_t first,
                     std::int64_t last, const PackedEntries& to);
  /// All heads of `count` queries from `token` on, to packed entries; their mean attention is that of window
  /// `token / work.window`.
  void (*attend_tokens)(const FullWork& work, std::int64_t row, std::int64_t kv_head,
                        const PackedEntries& packed, const FullRoom& room, std::int64_t token,
                        std::int64_t count);
  /// All queries to the entries from `first` on of those that their row does not hide, at most `most`.
  void (*attend_chunk)(const FullWork& work, std::int64_t row, std::int64_t kv_head, const FullRoom& room,
                       const PackedEntries& tile, std::int64_t first, std::int64_t most, const ChunkSums& to);
  /// The output of all queries from `chunks` of them, one after the other in memory.
  void (*merge_chunks)(const FullWork& work, std::int64_t row, std::int64_t kv_head, const ChunkSums& from,
                       std::int64_t chunks);
};

}  // namespace foresight::kernels
