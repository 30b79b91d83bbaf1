// The kernels of row_block.h on a GPU.
#include "trainer/kernels/cuda_block.cuh"
#include "trainer/kernels/gpu_kernels.h"
#include "trainer/kernels/row_block.h"

namespace foresight::kernels {

const char* start(const NormWork& work, void* stream) {
  if (work.input_bfloat16) {
    return work.output_bfloat16 ? start_kernel<NormBlock<BlockHalf, BlockHalf>>(work, stream)
                                : start_kernel<NormBlock<BlockHalf, float>>(work, stream);
  }
  return work.output_bfloat16 ? start_kernel<NormBlock<float, BlockHalf>>(work, stream)
                              : start_kernel<NormBlock<float, float>>(work, stream);
}

const char* start(const RotationWork& work, void* stream) {
  return start_kernel_of<RotationBlock>(work, work.bfloat16, stream);
}

const char* start(const GateWork& work, void* stream) {
  return start_kernel_of<GateBlock>(work, work.bfloat16, stream);
}

const char* start(const LossWork& work, void* stream) {
  return start_kernel_of<LossBlock>(work, work.bfloat16, stream);
}

}  // namespace foresight::kernels
