// The kernels of entry_block.h and choice_block.h on a GPU.
#include "trainer/kernels/choice_block.h"
#include "trainer/kernels/cuda_block.cuh"
#include "trainer/kernels/entry_block.h"
#include "trainer/kernels/gpu_kernels.h"

namespace foresight::kernels {

const char* start(const AppendWork& work, void* stream) {
  return start_kernel_of<AppendBlock>(work, work.bfloat16, stream);
}

const char* start(const CompactWork& work, void* stream) {
  return start_kernel_of<CompactBlock>(work, work.bfloat16, stream);
}

const char* start(const GatherWork& work, void* stream) {
  return start_kernel_of<GatherBlock>(work, work.of.bfloat16, stream);
}

const char* start(const ScoreWork& work, void* stream) {
  return start_kernel_of<ScoreBlock>(work, work.of.bfloat16, stream);
}

const char* start(const NoiseWork& work, void* stream) {
  return start_kernel<NoiseBlock>(work, stream);
}

const char* start(const ChoiceWork& work, void* stream) {
  return start_kernel<ChoiceBlock>(work, stream);
}

}  // namespace foresight::kernels
