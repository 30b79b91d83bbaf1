// SplitMix64 (Steele, Lea, Flood 2014) as functions of its state, for random.h and for the kernels of GPUs.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define FORESIGHT_ON_ANY_PROCESSOR __host__ __device__
#else
#define FORESIGHT_ON_ANY_PROCESSOR
#endif

namespace foresight {

/// What is added to the state for each number.
inline constexpr std::uint64_t kGoldenGamma = 0x9e3779b97f4a7c15ULL;

/// The output function: a bijection of 64 bits in which every input bit reaches every output bit.
FORESIGHT_ON_ANY_PROCESSOR inline std::uint64_t mix_bits(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebULL;
  return bits ^ (bits >> 31);
}

/// A standard Gumbel number, -log(-log(u)), of 64 uniform bits.
FORESIGHT_ON_ANY_PROCESSOR inline double gumbel_of(std::uint64_t bits) {
  // 52 bits and a half: strictly inside (0, 1), exactly representable, so both logarithms are finite.
  const double inside = (static_cast<double>(bits >> 12) + 0.5) * 0x1.0p-52;
  return -std::log(-std::log(inside));
}

}  // namespace foresight
