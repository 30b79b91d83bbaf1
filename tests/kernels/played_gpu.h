// A GPU that the host plays: as long as one exists, tensors on the CPU go through the kernels of GPUs
// (tests/kernels/played_grid.h), thread by thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "trainer/kernels/launch.h"

namespace foresight::kernels {

class PlayedGpu {
 public:
  /// Threads run in an order that `seed` decides.
  explicit PlayedGpu(std::uint64_t seed);
  ~PlayedGpu();
  PlayedGpu(const PlayedGpu&) = delete;
  PlayedGpu& operator=(const PlayedGpu&) = delete;

  /// Launches so far, of work number i of GpuWork.
  std::int64_t launches(std::size_t i) const {
    const auto found = launches_.find(i);
    return found == launches_.end() ? 0 : found->second;
  }
  std::int64_t launches() const;

 private:
  std::map<std::size_t, std::int64_t> launches_;
};

}  // namespace foresight::kernels
