// A tiny model with other weights.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/safetensors.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

/// Replaces the weights of the model in the folder `model` by what `change`, a function of a map from names
/// to tensors, makes of them.
template <class Change>
void change_model_tensors(const std::filesystem::path& model, const Change& change) {
  const std::filesystem::path path = model / "model.safetensors";
  std::map<std::string, torch::Tensor> tensors;
  {
    const SafetensorsFile file(path);
    for (const auto& [name, view] : file.tensors()) tensors[name] = view_tensor(view).clone();
  }
  change(tensors);
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  write_safetensors(path, list, {{"format", "pt"}});
}

}  // namespace foresight
