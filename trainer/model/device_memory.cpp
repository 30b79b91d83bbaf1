#include "trainer/model/device_memory.h"

#ifdef FORESIGHT_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace foresight {

std::uint64_t device_memory_bytes(const c10::Device& device) {
#ifdef FORESIGHT_WITH_CUDA
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->totalGlobalMem;
#else
  (void)device;
#endif
  return 0;
}

}  // namespace foresight
