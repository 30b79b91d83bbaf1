// A register's worth of floats, for kernels whose machine code is chosen at run time. For .cpp files alone.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

#include "trainer/kernels/exponential.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/// One machine code for each, picked when the program starts; a sanitizer is not ready by then.
#define FORESIGHT_FOR_EVERY_PROCESSOR \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FORESIGHT_FOR_EVERY_PROCESSOR
#endif

namespace foresight {

inline constexpr std::int64_t kLanes = 8;  ///< floats of a register of AVX2
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
/// The same lanes wherever floats lie.
using LanesAnywhere =
    float __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));
using IntegerLanes = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

using WordLanes = std::uint32_t __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
using HalfLanes = std::uint16_t __attribute__((vector_size(kLanes * sizeof(std::uint16_t))));
using HalfLanesAnywhere = std::uint16_t
    __attribute__((vector_size(kLanes * sizeof(std::uint16_t)), aligned(alignof(c10::BFloat16)), may_alias));

/// A register of floats, or of bfloat16 widened to them.
FORESIGHT_INLINE Lanes load(const float* at) {
  return *reinterpret_cast<const LanesAnywhere*>(at);
}

FORESIGHT_INLINE Lanes load(const c10::BFloat16* at) {
  const HalfLanes halves = *reinterpret_cast<const HalfLanesAnywhere*>(at);
  constexpr int kHalfBits = 16;
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, WordLanes) << kHalfBits);
}

}  // namespace foresight
