#include "trainer/model/device.h"

#include <torch/cuda.h>

#ifdef FORESIGHT_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

#include <array>
#include <cstdio>

namespace foresight {

void wait_for_device(const torch::Device& device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

DeviceTimer::DeviceTimer(const torch::Device& device) : device_(device) {
  wait_for_device(device_);
  started_ = std::chrono::steady_clock::now();
}

double DeviceTimer::seconds() const {
  wait_for_device(device_);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

std::string device_identity([[maybe_unused]] const torch::Device& device) {
  std::string identity;
#ifdef FORESIGHT_WITH_CUDA
  if (!device.is_cuda()) return identity;
  // Not its number, which is that among the GPUs that this process sees; nor its place on the bus, which the
  // parts of one that is divided (MIG) share.
  for (const char byte : at::cuda::getDeviceProperties(device.index())->uuid.bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    identity += digits.data();
  }
#endif
  return identity;
}

}  // namespace foresight
