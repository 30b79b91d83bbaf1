// The kernels of GPUs for choice_work.h, which a host can play too (tests/kernels/played_grid.h). No torch. A
// block has kRowThreads threads.
#pragma once

#include <cstddef>

#include "trainer/base/split_mix.h"
#include "trainer/kernels/block_sums.h"
#include "trainer/kernels/choice_work.h"

namespace foresight::kernels {

/// One thread a number. Logarithms are taken in double precision, as RandomStream::gumbel() does.
struct NoiseBlock {
  static std::int64_t blocks(const NoiseWork& work) { return blocks_for(work.rows * work.numbers); }
  static std::size_t shared_bytes(const NoiseWork& /*work*/) { return 0; }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const NoiseWork& work, Block& block) {
    const std::int64_t at = block.block() * kRowThreads + block.thread();
    if (at >= work.rows * work.numbers) return;
    const auto place = static_cast<std::uint64_t>(at % work.numbers);
    const std::uint64_t bits = mix_bits(work.states[at / work.numbers] + (place + 1) * kGoldenGamma);
    work.noise[at] = static_cast<float>(gumbel_of(bits));
  }
};

/// One block a KV head of a row.
struct ChoiceBlock {
  static std::int64_t blocks(const ChoiceWork& work) { return work.heads; }
  static std::size_t shared_bytes(const ChoiceWork& work) {
    return static_cast<std::size_t>(work.candidates + 2 * work.window + kRowWarps) * sizeof(float);
  }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const ChoiceWork& work, Block& block) {
    const std::int64_t head = block.block();
    const std::int64_t* const draws = work.draws + head * work.window;
    auto* const room = static_cast<float*>(block.shared());
    float* const left = room + kRowWarps;          // [W] logarithms of what is left before each draw
    float* const gathered = left + work.window;    // [W] log of the sum of 1 / what was left, up to each draw
    float* const logits = gathered + work.window;  // [M]
    const float of_reference = find_left(work, block, work.reference + head * work.candidates, draws, room);
    const float own = find_left(work, block, work.logits + head * work.candidates, draws, room);
    if (block.thread() == 0) {
      work.likelihood_of_reference[head] = of_reference;
      work.likelihood[head] = own;
      float sum = -left[0];
      gathered[0] = sum;
      for (std::int64_t i = 1; i < work.window; ++i) gathered[i] = sum = log_of_sum(sum, -left[i]);
    }
    block.barrier();
    // Of the candidate that the j-th draw took: 1 - sum over i <= j of e^logit / left_i; of the others
    // minus the whole sum; each over W.
    const float share = 1.0F / static_cast<float>(work.window), all = gathered[work.window - 1];
    float* const derivatives = work.derivatives + head * work.candidates;
    const float* const own_logits = work.logits + head * work.candidates;
    for (std::int64_t i = block.thread(); i < work.window; i += kRowThreads) {
      const float logit = own_logits[draws[i]];
      derivatives[draws[i]] = share * (1.0F - std::exp(logit + gathered[i]));
    }
    for (std::int64_t i = block.thread(); i < work.candidates; i += kRowThreads) {
      if (logits[i] > kDrawn) derivatives[i] = -share * std::exp(logits[i] + all);
    }
  }

 private:
  static constexpr float kDrawn = -2.9e38F, kLowest = -3.0e38F;  // below every logit

  /// log(e^a + e^b).
  static FORESIGHT_BLOCK float log_of_sum(float a, float b) {
    const float larger = a > b ? a : b, smaller = a > b ? b : a;
    return larger + std::log1p(std::exp(smaller - larger));
  }

  /// The mean log-likelihood of the draws by `from` [M]. Leaves the logarithms of what is left before each of
  /// them in shared memory, and the logits there, those of what is drawn as kLowest.
  template <typename Block>
  static FORESIGHT_BLOCK float find_left(const ChoiceWork& work, Block& block, const float* from,
                                         const std::int64_t* draws, float* room) {
    float *const left = room + kRowWarps, *const logits = left + 2 * work.window;
    block.barrier();
    for (std::int64_t i = block.thread(); i < work.candidates; i += kRowThreads) logits[i] = from[i];
    block.barrier();
    for (std::int64_t i = block.thread(); i < work.window; i += kRowThreads) logits[draws[i]] = kLowest;
    block.barrier();
    float largest = kLowest;
    for (std::int64_t i = block.thread(); i < work.candidates; i += kRowThreads)
      largest = logits[i] > largest ? logits[i] : largest;
    largest = block_largest(block, largest, room);
    float sum = 0.0F;
    for (std::int64_t i = block.thread(); i < work.candidates; i += kRowThreads) {
      if (logits[i] > kDrawn) sum += std::exp(logits[i] - largest);
    }
    sum = block_sum(block, sum, room);
    if (block.thread() != 0) return 0.0F;
    // From the last draw to the first, what it took comes back.
    const float* const last = from + draws[work.window - 1];
    float rest = sum > 0.0F ? log_of_sum(largest + std::log(sum), *last) : *last, total = *last - rest;
    left[work.window - 1] = rest;
    for (std::int64_t i = work.window - 2; i >= 0; --i) {
      const float drawn = from[draws[i]];
      rest = log_of_sum(rest, drawn);
      left[i] = rest;
      total += drawn - rest;
    }
    return total / static_cast<float>(work.window);
  }
};

}  // namespace foresight::kernels
