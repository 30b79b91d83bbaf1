// A register's worth of floats for the bodies of kernels: FORESIGHT_KERNEL_LANES of them. For files that are
// compiled for one instruction set alone; all functions have internal linkage.
#pragma once

#include <cstdint>

#include "trainer/kernels/exponential.h"

namespace foresight::kernels {
namespace {

using Half = std::uint16_t;  ///< the bits of a bfloat16
constexpr std::int64_t kLanes = FORESIGHT_KERNEL_LANES;
constexpr float kLowest = -3.0e38F, kUnbounded = 3.0e38F, kNoNumber = __builtin_nanf("");
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
using LanesAnywhere =
    float __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));
using IntegerLanes = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
using WordLanes = std::uint32_t __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
using HalfLanes = Half __attribute__((vector_size(kLanes * sizeof(Half))));
using HalfLanesAnywhere =
    Half __attribute__((vector_size(kLanes * sizeof(Half)), aligned(alignof(Half)), may_alias));

/// Entries whose keys and values are asked for before they are packed: a long cache comes from memory, and
/// what is computed meanwhile costs nothing.
constexpr std::int64_t kEntriesAhead = 128;

/// Asks for what a vector of `width` numbers reads kEntriesAhead entries later, which need not exist.
template <typename Element>
FORESIGHT_INLINE void ask_ahead(const Element* number, std::int64_t width) {
  __builtin_prefetch(number + kEntriesAhead * width, /*for writing:*/ 0, /*a core's own cache:*/ 2);
}

FORESIGHT_INLINE Lanes load(const float* at) {
  return *reinterpret_cast<const LanesAnywhere*>(at);
}

FORESIGHT_INLINE Lanes load(const Half* at) {
  constexpr int kHalfBits = 16;
  const HalfLanes halves = *reinterpret_cast<const HalfLanesAnywhere*>(at);
  return reinterpret_cast<Lanes>(__builtin_convertvector(halves, WordLanes) << kHalfBits);
}

FORESIGHT_INLINE void store(float* at, const Lanes& values) {
  *reinterpret_cast<LanesAnywhere*>(at) = values;
}

FORESIGHT_INLINE float widened(float value) {
  return value;
}

FORESIGHT_INLINE float widened(Half value) {
  constexpr int kHalfBits = 16;
  const std::uint32_t bits = static_cast<std::uint32_t>(value) << kHalfBits;
  float result = 0;
  __builtin_memcpy(&result, &bits, sizeof(result));
  return result;
}

/// A register of floats, or one float, from `at`.
template <typename Value>
FORESIGHT_INLINE Value read(const float* at) {
  if constexpr (sizeof(Value) == sizeof(float)) {
    return *at;
  } else {
    return load(at);
  }
}

FORESIGHT_INLINE void write(float* at, float value) {
  *at = value;
}

FORESIGHT_INLINE void write(float* at, const Lanes& values) {
  store(at, values);
}

FORESIGHT_INLINE Lanes exponential(const Lanes& x) {
  return exponential_of<Lanes, IntegerLanes>(x);
}

}  // namespace
}  // namespace foresight::kernels
