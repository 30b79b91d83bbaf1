// A register's worth of floats, for kernels whose machine code is chosen at run time. For .cpp files alone.
#pragma once

#include <cstdint>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/// One machine code for each, picked when the program starts; a sanitizer is not ready by then.
#define FORESIGHT_FOR_EVERY_PROCESSOR \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FORESIGHT_FOR_EVERY_PROCESSOR
#endif
/// A helper of such a function: compiled into each of its machine codes.
#define FORESIGHT_INLINE inline __attribute__((always_inline))

namespace foresight {

inline constexpr std::int64_t kLanes = 8;  ///< floats of a register of AVX2
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
/// The same lanes wherever floats lie.
using LanesAnywhere =
    float __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));
using IntegerLanes = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

}  // namespace foresight
