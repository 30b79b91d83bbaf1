// What a device is, and time spent on it.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <string>

namespace foresight {

/// Returns when the device has done all that it was given. A CPU is done when a call returns.
void wait_for_device(const torch::Device& device);

/// Seconds of work that a device does: it has nothing else to do when the time starts, and is done when it is
/// read.
class DeviceTimer {
 public:
  explicit DeviceTimer(const torch::Device& device);
  double seconds() const;

 private:
  torch::Device device_;
  std::chrono::steady_clock::time_point started_;
};

/// A name that no other GPU has, in this machine or another; empty for the CPU.
std::string device_identity(const torch::Device& device);

}  // namespace foresight
