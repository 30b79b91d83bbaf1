// The policy's choice at an eviction, described on bare memory for the kernels of GPUs. No torch.
#pragma once

#include <cstdint>

namespace foresight::kernels {

/// Standard Gumbel noise [rows, numbers] of a RandomStream each (trainer/base/random.h): number i of a stream
/// in the state s is a function of s and i, the same on every processor.
struct NoiseWork {
  static constexpr int kMostRows = 64;  ///< of one launch: the states travel with it
  std::uint64_t states[kMostRows] = {};
  float* noise = nullptr;
  std::int64_t rows = 0, numbers = 0;
};

/// Most candidates of a choice that ChoiceWork may have: their logits fill shared memory.
inline constexpr std::int64_t kMostCandidates = 8192;

/// For draws a_1 .. a_W without replacement from M candidates (Plackett-Luce), the mean over the draws of
/// their log-likelihoods, l, by the logits of two policies, with what l's derivatives are in those of the
/// first.
struct ChoiceWork {
  const float *logits = nullptr, *reference = nullptr;  ///< [heads, M]
  const std::int64_t* draws = nullptr;                  ///< [heads, W]
  float* likelihood = nullptr;                          ///< [heads] l
  float* likelihood_of_reference = nullptr;             ///< [heads]
  float* derivatives = nullptr;                         ///< [heads, M] of l in the logits
  std::int64_t heads = 0, candidates = 0, window = 0;
};

}  // namespace foresight::kernels
