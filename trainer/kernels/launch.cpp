#include "trainer/kernels/launch.h"

#include <array>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#ifdef FORESIGHT_WITH_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace foresight::kernels {
namespace {

GpuPlayer& player() {
  static GpuPlayer instance;
  return instance;
}

/// In the order of GpuWork.
constexpr std::array<const char*, std::variant_size_v<GpuWork>> kNames = {"window attention",
                                                                          "norm",
                                                                          "rotary embedding",
                                                                          "gate",
                                                                          "losses",
                                                                          "new entries",
                                                                          "compaction of a cache",
                                                                          "features of entries",
                                                                          "scores of entries",
                                                                          "Gumbel noise",
                                                                          "likelihood of a choice"};

}  // namespace

bool has_gpu_kernels([[maybe_unused]] const torch::Device& device) {
  if (player()) return true;
#ifdef FORESIGHT_WITH_CUDA
  return device.is_cuda();
#else
  return false;
#endif
}

void launch(const GpuWork& work, const torch::Device& device) {
  if (player()) return player()(work);
#ifdef FORESIGHT_WITH_CUDA
  const c10::cuda::CUDAGuard guard(device);
  void* const stream = c10::cuda::getCurrentCUDAStream(device.index()).stream();
  const char* const wrong = std::visit([&](const auto& own) { return start(own, stream); }, work);
  if (wrong == nullptr) return;
#else
  const char* const wrong = "this build has no kernels for GPUs";
#endif
  throw Error(ErrorKind::kResource, concat(kNames.at(work.index()), " on ", device.str(), ": ", wrong));
}

void set_gpu_player(GpuPlayer own) {
  player() = std::move(own);
}

}  // namespace foresight::kernels
