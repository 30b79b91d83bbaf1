// Plays a GPU's blocks of threads on the host: each thread is a fibre with a stack of its own, which runs to
// its next barrier; then the next one does, in an order that a seed decides.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace foresight::kernels {

class PlayedThreads;

/// What a kernel's thread sees of its block (trainer/kernels/window_block.h).
class PlayedBlock {
 public:
  PlayedBlock(PlayedThreads& threads, std::int64_t block, int thread)
      : threads_(&threads), block_(block), thread_(thread) {}
  std::int64_t block() const { return block_; }
  int thread() const { return thread_; }
  void* shared() const;
  void barrier() const;
  void warp_barrier() const;
  float exchange(float value, int mask) const;

 private:
  PlayedThreads* threads_;
  std::int64_t block_;
  int thread_;
};

/// Runs kernel(block) as every thread of blocks 0 .. blocks-1, one block after the other. Shared memory
/// begins as bytes of 0xff, which are no numbers. Throws std::logic_error where threads wait for barriers
/// that the others never reach.
void play_grid(std::int64_t blocks, int threads, std::size_t shared_bytes, std::uint64_t seed,
               const std::function<void(PlayedBlock&)>& kernel);

}  // namespace foresight::kernels
