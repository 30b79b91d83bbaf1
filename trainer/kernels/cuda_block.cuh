// A block of the hardware's threads, as the kernels ask for it, and how one is started.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trainer/kernels/block_sums.h"

namespace foresight::kernels {

extern __shared__ float4 shared_memory[];

/// What trainer/kernels/window_block.h calls Block.
struct CudaBlock {
  __device__ __forceinline__ std::int64_t block() const { return blockIdx.x; }
  __device__ __forceinline__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ void* shared() const { return shared_memory; }
  __device__ __forceinline__ void barrier() const { __syncthreads(); }
  __device__ __forceinline__ void warp_barrier() const { __syncwarp(); }
  __device__ __forceinline__ float exchange(float value, int mask) const {
    return __shfl_xor_sync(0xffffffffU, value, mask);
  }
};

template <typename Kernel, typename Work>
__global__ void __launch_bounds__(kRowThreads) run_kernel(const Work work) {
  CudaBlock block;
  Kernel::run(work, block);
}

/// Starts Kernel for `work` in blocks of kRowThreads. Null, or what CUDA says is wrong.
template <typename Kernel, typename Work>
const char* start_kernel(const Work& work, void* stream) {
  constexpr std::size_t kAlwaysThere = 48 * 1024;  // bytes of shared memory that need not be asked for
  const std::int64_t blocks = Kernel::blocks(work);
  const std::size_t shared_bytes = Kernel::shared_bytes(work);
  if (blocks == 0) return nullptr;
  cudaError_t error = cudaSuccess;
  if (shared_bytes > kAlwaysThere) {
    error = cudaFuncSetAttribute(run_kernel<Kernel, Work>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes));
  }
  if (error == cudaSuccess) {
    run_kernel<Kernel, Work>
        <<<static_cast<unsigned>(blocks), kRowThreads, shared_bytes, static_cast<cudaStream_t>(stream)>>>(
            work);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// The same of a kernel for values in bfloat16 or float32.
template <template <typename> class Kernel, typename Work>
const char* start_kernel_of(const Work& work, bool bfloat16, void* stream) {
  return bfloat16 ? start_kernel<Kernel<BlockHalf>>(work, stream) : start_kernel<Kernel<float>>(work, stream);
}

}  // namespace foresight::kernels
