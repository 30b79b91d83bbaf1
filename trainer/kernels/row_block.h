// The kernels of GPUs for row_work.h, which a host can play too (tests/kernels/played_grid.h). No torch.
// Block is what window_block.h says; a block has kRowThreads threads. `blocks` and `shared_bytes` say how to
// start.
#pragma once

#include <cstddef>
#include <limits>

#include "trainer/kernels/block_sums.h"
#include "trainer/kernels/row_work.h"

namespace foresight::kernels {

/// One block a row.
template <typename From, typename To>
struct NormBlock {
  static std::int64_t blocks(const NormWork& work) { return work.rows; }
  static std::size_t shared_bytes(const NormWork& /*work*/) { return kRowWarps * sizeof(float); }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const NormWork& work, Block& block) {
    const From* const input = static_cast<const From*>(work.input) + block.block() * work.width;
    To* const output = static_cast<To*>(work.output) + block.block() * work.width;
    float squares = 0.0F;
    for (std::int64_t i = block.thread(); i < work.width; i += kRowThreads)
      squares += wide(input[i]) * wide(input[i]);
    const float mean =
        block_sum(block, squares, static_cast<float*>(block.shared())) / static_cast<float>(work.width);
    const float scale = 1.0F / std::sqrt(mean + work.epsilon);
    for (std::int64_t i = block.thread(); i < work.width; i += kRowThreads)
      narrow(wide(input[i]) * scale * work.weight[i], output[i]);
  }
};

/// One thread a pair of numbers that turns.
template <typename From>
struct RotationBlock {
  static std::int64_t blocks(const RotationWork& work) {
    return blocks_for(work.rows * work.heads * work.tokens * work.half);
  }
  static std::size_t shared_bytes(const RotationWork& /*work*/) { return 0; }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const RotationWork& work, Block& block) {
    const std::int64_t at = block.block() * kRowThreads + block.thread();
    if (at >= work.rows * work.heads * work.tokens * work.half) return;
    const std::int64_t pair = at % work.half, vector = at / work.half, token = vector % work.tokens,
                       head = vector / work.tokens % work.heads, row = vector / (work.tokens * work.heads);
    const From* const input = static_cast<const From*>(work.input) + row * work.row_stride +
                              head * work.head_stride + token * work.token_stride;
    const std::int64_t angle = row * work.angles_per_row + token * work.half + pair;
    const float first = wide(input[pair]), second = wide(input[pair + work.half]);
    float* const output = work.output + vector * 2 * work.half;
    output[pair] = first * work.cosine[angle] - second * work.sine[angle];
    output[pair + work.half] = second * work.cosine[angle] + first * work.sine[angle];
  }
};

/// One thread a number.
template <typename Number>
struct GateBlock {
  static std::int64_t blocks(const GateWork& work) { return blocks_for(work.rows * work.width); }
  static std::size_t shared_bytes(const GateWork& /*work*/) { return 0; }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const GateWork& work, Block& block) {
    const std::int64_t at = block.block() * kRowThreads + block.thread();
    if (at >= work.rows * work.width) return;
    const Number* const row = static_cast<const Number*>(work.input) + at / work.width * 2 * work.width;
    const float gate = wide(row[at % work.width]), up = wide(row[work.width + at % work.width]);
    narrow(gate / (1.0F + std::exp(-gate)) * up, static_cast<Number*>(work.output)[at]);
  }
};

/// One block a row, which goes over its logits once.
template <typename Number>
struct LossBlock {
  static std::int64_t blocks(const LossWork& work) { return work.rows; }
  static std::size_t shared_bytes(const LossWork& /*work*/) { return kRowWarps * sizeof(float); }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const LossWork& work, Block& block) {
    constexpr float kLowest = -3.0e38F;
    const Number* const logits = static_cast<const Number*>(work.logits) + block.block() * work.width;
    float* const room = static_cast<float*>(block.shared());
    // Against the largest logit m so far: sum of e^(x - m), and of (x - m) e^(x - m).
    float largest = kLowest, sum = 0.0F, weighted = 0.0F;
    for (std::int64_t i = block.thread(); i < work.width; i += kRowThreads) {
      const float logit = wide(logits[i]);
      if (logit > largest) {
        rebase(largest, logit, sum, weighted);
        largest = logit;
      }
      const float distance = logit - largest, power = std::exp(distance);
      sum += power;
      weighted += distance * power;
    }
    const float of_all = block_largest(block, largest, room);
    rebase(largest, of_all, sum, weighted);
    const float whole = block_sum(block, sum, room), entropy_part = block_sum(block, weighted, room);
    if (block.thread() != 0) return;
    const std::int64_t target = work.targets[block.block()];
    const bool exists = target >= 0 && target < work.width;
    const float own = exists ? wide(logits[target]) : kNone;
    work.loss[block.block()] = std::log(whole) - (own - of_all);
    work.entropy[block.block()] = std::log(whole) - entropy_part / whole;
  }

 private:
  static constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

  /// From sums against the logit `from` to those against `to`, which is not below it.
  static FORESIGHT_BLOCK void rebase(float from, float to, float& sum, float& weighted) {
    if (sum == 0.0F) return;  // of nothing, against no logit
    const float factor = std::exp(from - to);
    weighted = factor * (weighted + (from - to) * sum);
    sum *= factor;
  }
};

}  // namespace foresight::kernels
