// Window attention on GPUs: one block of threads for each query head.
#include "trainer/kernels/cuda_block.cuh"
#include "trainer/kernels/gpu_kernels.h"
#include "trainer/kernels/window_block.h"

namespace foresight::kernels {
namespace {

template <typename Number, int kWidth>
__global__ void __launch_bounds__(kBlockThreads) attend(const WindowWork work) {
  CudaBlock block;
  WindowBlock<Number, kWidth, CudaBlock>(work, block).run();
}

/// Shared memory that a block may have on sm_80; sm_90 has more.
constexpr std::size_t kMostShared = 163 * 1024;

template <typename Number, int kWidth>
cudaError_t start_block(const WindowWork& work, cudaStream_t stream) {
  static_assert(sizeof(WindowShared<Number, kWidth>) <= kMostShared);
  constexpr int kBytes = static_cast<int>(sizeof(WindowShared<Number, kWidth>));
  const cudaError_t error =
      cudaFuncSetAttribute(attend<Number, kWidth>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  const auto blocks = static_cast<unsigned>(work.rows * work.windows * work.kv_heads * work.group);
  attend<Number, kWidth><<<blocks, kBlockThreads, kBytes, stream>>>(work);
  return cudaGetLastError();
}

template <typename Number>
cudaError_t start_for_width(const WindowWork& work, cudaStream_t stream) {
  if (work.width <= 64) return start_block<Number, 64>(work, stream);
  if (work.width <= 128) return start_block<Number, 128>(work, stream);
  return start_block<Number, 256>(work, stream);
}

}  // namespace

const char* start(const WindowWork& work, void* stream) {
  auto* const of_cuda = static_cast<cudaStream_t>(stream);
  const cudaError_t error =
      work.bfloat16 ? start_for_width<BlockHalf>(work, of_cuda) : start_for_width<float>(work, of_cuda);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace foresight::kernels
