// The moments of Adam in a file of a checkpoint.
#pragma once

#include <torch/optim/adam.h>
#include <torch/types.h>

#include <filesystem>
#include <vector>

namespace foresight {

/// Writes step count and both moments of every parameter that was updated, as safetensors
/// ("parameter.<index>.first_moment", "....second_moment"). Throws Error(kResource) when the disk refuses.
void save_optimizer(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters,
                    const std::filesystem::path& file);

/// Restores what save_optimizer() wrote for parameters of the same shapes. Throws Error(kInput) naming file
/// and tensor when the file belongs to other parameters.
void load_optimizer(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters,
                    const std::filesystem::path& path);

}  // namespace foresight
