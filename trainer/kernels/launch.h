// Work on tensors of a GPU, started on torch's current stream.
#pragma once

#include <torch/types.h>

#include <functional>
#include <variant>

#include "trainer/kernels/gpu_kernels.h"

namespace foresight::kernels {

/// Everything that there are kernels of GPUs for.
using GpuWork = std::variant<WindowWork, NormWork, RotationWork, GateWork, LossWork, AppendWork, CompactWork,
                             GatherWork, ScoreWork, NoiseWork, ChoiceWork>;

/// Whether launch() works on memory of `device`: it is a GPU and the build is one for CUDA, or somebody
/// plays.
bool has_gpu_kernels(const torch::Device& device);

/// Starts `work`, whose memory is the device's: one launch, for which nobody waits. Throws Error(kResource)
/// for what CUDA refuses, and in builds without CUDA.
void launch(const GpuWork& work, const torch::Device& device);

/// Does on the host what a GPU would do.
using GpuPlayer = std::function<void(const GpuWork&)>;

/// For tests: as long as there is a player, every device has kernels, and launch() calls it instead. Empty:
/// no player.
void set_gpu_player(GpuPlayer player);

}  // namespace foresight::kernels
