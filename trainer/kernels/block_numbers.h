// Numbers and helpers of kernels that are written once for a GPU's blocks of threads and for a host that
// plays them. Mathematical functions are the standard library's, which nvcc compiles for GPUs too. No torch.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_bf16.h>
/// A function of a kernel: part of its caller on the GPU.
#define FORESIGHT_BLOCK __device__ __forceinline__
/// Before a loop whose results are to stay in registers.
#define FORESIGHT_UNROLL _Pragma("unroll")
#else
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
#endif

FORESIGHT_BLOCK float wide(float value) {
  return value;
}
FORESIGHT_BLOCK void narrow(float value, float& to) {
  to = value;
}

/// Threads of a warp.
inline constexpr int kWarp = 32;

/// As many numbers as a thread moves at once.
template <typename Number>
struct alignas(16) Chunk {
  static constexpr int kNumbers = 16 / sizeof(Number);
  Number numbers[kNumbers];
};

}  // namespace foresight::kernels
