// What the threads of a block of kRowThreads find together. No torch.
#pragma once

#include "trainer/kernels/block_numbers.h"

namespace foresight::kernels {

inline constexpr int kRowThreads = 256, kRowWarps = kRowThreads / kWarp;

/// The sum of the values of all threads, for every one of them. `room`: kRowWarps floats of shared memory.
template <typename Block>
FORESIGHT_BLOCK float block_sum(Block& block, float value, float* room) {
  for (int mask = 1; mask < kWarp; mask *= 2) value += block.exchange(value, mask);
  block.barrier();  // the room may still be read from the sum before
  if (block.thread() % kWarp == 0) room[block.thread() / kWarp] = value;
  block.barrier();
  float sum = 0.0F;
  for (int warp = 0; warp < kRowWarps; ++warp) sum += room[warp];
  return sum;
}

/// The largest of the values of all threads, likewise.
template <typename Block>
FORESIGHT_BLOCK float block_largest(Block& block, float value, float* room) {
  for (int mask = 1; mask < kWarp; mask *= 2) {
    const float other = block.exchange(value, mask);
    value = other > value ? other : value;
  }
  block.barrier();
  if (block.thread() % kWarp == 0) room[block.thread() / kWarp] = value;
  block.barrier();
  float largest = room[0];
  for (int warp = 1; warp < kRowWarps; ++warp) largest = room[warp] > largest ? room[warp] : largest;
  return largest;
}

/// Blocks of kRowThreads for `count` pieces of work, a thread each.
inline std::int64_t blocks_for(std::int64_t count) {
  return (count + kRowThreads - 1) / kRowThreads;
}

}  // namespace foresight::kernels
