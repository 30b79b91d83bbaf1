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
  return work.bfloat16 ? start_kernel<RotationBlock<BlockHalf>>(work, stream)
                       : start_kernel<RotationBlock<float>>(work, stream);
}

const char* start(const GateWork& work, void* stream) {
  return work.bfloat16 ? start_kernel<GateBlock<BlockHalf>>(work, stream)
                       : start_kernel<GateBlock<float>>(work, stream);
}

const char* start(const LossWork& work, void* stream) {
  return work.bfloat16 ? start_kernel<LossBlock<BlockHalf>>(work, stream)
                       : start_kernel<LossBlock<float>>(work, stream);
}

}  // namespace foresight::kernels
