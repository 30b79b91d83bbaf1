// Window attention of one head after the other, one function for each instruction set. No torch.
#pragma once

#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// Room of one thread, in floats: keys and values of a KV head as its products read them, and scores of a few
/// queries.
struct WindowRoom {
  float* keys = nullptr;
  float* values = nullptr;
  float* scores = nullptr;  ///< [6, score_stride]
  std::int64_t score_stride = 0;
  void* halves = nullptr;  ///< [6, the longer of score_stride and a vector] bfloat16
};

/// Numbers that a whole count of registers has room for, whatever the processor.
inline std::int64_t padded_to_registers(std::int64_t count) {
  constexpr std::int64_t kWidest = 16;
  return (count + kWidest - 1) / kWidest * kWidest;
}
/// Most queries of a head that go through the kernel together.
inline constexpr std::int64_t kQueriesTogether = 6;

/// One query head: what it reads packed, and where its results go.
struct PackedHead {
  const float* query = nullptr;  ///< its first
  const void* keys = nullptr;    ///< floats, or words of two bfloat16
  const void* values = nullptr;
  float* scores = nullptr;  ///< [6, score_stride]
  void* halves = nullptr;
  std::int64_t score_stride = 0;
  float* output = nullptr;      ///< [T, K * g, d], from its own head
  float* statistics = nullptr;  ///< [6, capacity]
  const float* sink = nullptr;
};

/// Query heads first .. last - 1 of all R * K * g, counted with the group innermost.
using WindowFunction = void (*)(const WindowWork& work, const WindowRoom& room, std::int64_t first,
                                std::int64_t last);
void window_heads_any(const WindowWork& work, const WindowRoom& room, std::int64_t first, std::int64_t last);
#ifdef __x86_64__
void window_heads_avx2(const WindowWork& work, const WindowRoom& room, std::int64_t first, std::int64_t last);
void window_heads_avx512_bfloat16(const WindowWork& work, const WindowRoom& room, std::int64_t first,
                                  std::int64_t last);
void window_heads_avx512(const WindowWork& work, const WindowRoom& room, std::int64_t first,
                         std::int64_t last);
#endif

}  // namespace foresight::kernels
