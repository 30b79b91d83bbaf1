// Plays a kernel of GPUs for its work, as trainer/kernels/cuda_block.cuh starts it.
#pragma once

#include "tests/kernels/played_grid.h"
#include "trainer/kernels/block_sums.h"
#include "trainer/kernels/window_block.h"

namespace foresight::kernels {

/// A kernel in blocks of kRowThreads; threads run in an order that `seed` decides.
template <typename Kernel, typename Work>
void play_kernel(const Work& work, std::uint64_t seed) {
  play_grid(Kernel::blocks(work), kRowThreads, Kernel::shared_bytes(work), seed,
            [&](PlayedBlock& block) { Kernel::run(work, block); });
}

/// The same of a kernel for values in bfloat16 or float32.
template <template <typename> typename Kernel, typename Work>
void play_kernel_of(const Work& work, bool bfloat16, std::uint64_t seed) {
  bfloat16 ? play_kernel<Kernel<BlockHalf>>(work, seed) : play_kernel<Kernel<float>>(work, seed);
}

template <typename Number, int kWidth>
void play_window_of_width(const WindowWork& work, std::uint64_t seed) {
  play_grid(work.rows * work.windows * work.kv_heads * work.group, kBlockThreads,
            sizeof(WindowShared<Number, kWidth>), seed,
            [&](PlayedBlock& block) { WindowBlock<Number, kWidth, PlayedBlock>(work, block).run(); });
}

template <typename Number>
void play_window_of(const WindowWork& work, std::uint64_t seed) {
  if (work.width <= 64) return play_window_of_width<Number, 64>(work, seed);
  if (work.width <= 128) return play_window_of_width<Number, 128>(work, seed);
  play_window_of_width<Number, 256>(work, seed);
}

/// The attention of a window.
inline void play_window(const WindowWork& work, std::uint64_t seed) {
  work.bfloat16 ? play_window_of<BlockHalf>(work, seed) : play_window_of<float>(work, seed);
}

}  // namespace foresight::kernels
