// Numbers and helpers of kernels that are written once for a GPU's blocks of threads and for a host that
// plays them. No torch.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
/// A function of a kernel: part of its caller on the GPU.
#define FORESIGHT_BLOCK __device__ __forceinline__
/// Before a loop whose results are to stay in registers.
#define FORESIGHT_UNROLL _Pragma("unroll")
#else
#include <cmath>
#include <cstring>
#define FORESIGHT_BLOCK inline
#define FORESIGHT_UNROLL
#endif

namespace foresight::kernels {

#ifdef __CUDACC__
using BlockHalf = __nv_bfloat16;
FORESIGHT_BLOCK float wide(BlockHalf value) {
  return __bfloat162float(value);
}
FORESIGHT_BLOCK void narrow(float value, BlockHalf& to) {
  to = __float2bfloat16_rn(value);
}
FORESIGHT_BLOCK float power_of_two(float exponent) {
  return exp2f(exponent);
}
FORESIGHT_BLOCK float exponential(float value) {
  return expf(value);
}
FORESIGHT_BLOCK float exponential_less_one(float value) {
  return expm1f(value);
}
FORESIGHT_BLOCK float logarithm(float value) {
  return logf(value);
}
FORESIGHT_BLOCK double logarithm(double value) {
  return log(value);
}
FORESIGHT_BLOCK float logarithm_of_one_and(float value) {
  return log1pf(value);
}
FORESIGHT_BLOCK float error_function(float value) {
  return erff(value);
}
FORESIGHT_BLOCK float square_root(float value) {
  return sqrtf(value);
}
#else
/// A bfloat16 that a host without one computes with.
struct BlockHalf {
  std::uint16_t bits;
};
FORESIGHT_BLOCK float wide(BlockHalf value) {
  constexpr int kHalfBits = 16;
  const std::uint32_t bits = static_cast<std::uint32_t>(value.bits) << kHalfBits;
  float result = 0;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}
/// Rounds to nearest, ties to even; what is not a number stays none.
FORESIGHT_BLOCK void narrow(float value, BlockHalf& to) {
  constexpr int kHalfBits = 16;
  constexpr std::uint32_t kJustBelowHalf = 0x7fff, kNotANumber = 0x7fc0;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const std::uint32_t rounded = (bits + kJustBelowHalf + ((bits >> kHalfBits) & 1)) >> kHalfBits;
  to.bits = static_cast<std::uint16_t>(value == value ? rounded : kNotANumber);
}
FORESIGHT_BLOCK float power_of_two(float exponent) {
  return std::exp2(exponent);
}
FORESIGHT_BLOCK float exponential(float value) {
  return std::exp(value);
}
FORESIGHT_BLOCK float exponential_less_one(float value) {
  return std::expm1(value);
}
FORESIGHT_BLOCK float logarithm(float value) {
  return std::log(value);
}
FORESIGHT_BLOCK double logarithm(double value) {
  return std::log(value);
}
FORESIGHT_BLOCK float logarithm_of_one_and(float value) {
  return std::log1p(value);
}
FORESIGHT_BLOCK float error_function(float value) {
  return std::erf(value);
}
FORESIGHT_BLOCK float square_root(float value) {
  return std::sqrt(value);
}
#endif

FORESIGHT_BLOCK float wide(float value) {
  return value;
}
FORESIGHT_BLOCK void narrow(float value, float& to) {
  to = value;
}

/// As many numbers as a thread moves at once.
template <typename Number>
struct alignas(16) Chunk {
  static constexpr int kNumbers = 16 / sizeof(Number);
  Number numbers[kNumbers];
};

}  // namespace foresight::kernels
