// How much memory a device has.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace foresight {

/// Bytes of a GPU's memory; 0 for a CPU and in builds without CUDA.
std::uint64_t device_memory_bytes(const c10::Device& device);

}  // namespace foresight
