// e^x of a register's worth of floats, for kernels of every instruction set.
#pragma once

#include <cstdint>

// How a register is handed over without AVX does not matter: the helpers become part of their callers.
#pragma GCC diagnostic ignored "-Wpsabi"

/// A helper of a function for one instruction set: compiled into each of its machine codes.
#define FORESIGHT_INLINE inline __attribute__((always_inline))

namespace foresight {

/// e^x for x <= 88, to 2 units in the last place; 0 below -87, and NaN of NaN. 2^k times a polynomial of what
/// is left (Cephes's coefficients). Lanes and IntegerLanes: as many floats and 32-bit integers.
template <typename Lanes, typename IntegerLanes>
FORESIGHT_INLINE Lanes exponential_of(const Lanes& x) {
  constexpr float kLowestPower = -87.0F,
                  kRounder = 12582912.0F;          // 1.5 * 2^23: adding it rounds to whole numbers
  const IntegerLanes vanishes = x < kLowestPower;  // false for NaN, which stays one
  const Lanes bounded = vanishes ? Lanes{} + kLowestPower : x;
  const Lanes whole = (bounded * 1.44269504F + kRounder) - kRounder;
  const Lanes rest = (bounded - whole * 0.693359375F) + whole * 2.12194440e-4F;
  Lanes power = rest * 1.9875691500e-4F + 1.3981999507e-3F;
  power = power * rest + 8.3334519073e-3F;
  power = power * rest + 4.1665795894e-2F;
  power = power * rest + 1.6666665459e-1F;
  power = power * rest + 5.0000001201e-1F;
  power = power * (rest * rest) + rest + 1.0F;
  constexpr std::int32_t kBias = 127, kMantissaBits = 23;
  const IntegerLanes exponent = (__builtin_convertvector(whole, IntegerLanes) + kBias) << kMantissaBits;
  return vanishes ? Lanes{} : power * reinterpret_cast<Lanes>(exponent);
}

}  // namespace foresight
