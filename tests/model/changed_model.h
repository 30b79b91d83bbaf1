// A tiny model of tests/reference/families whose tensors are changed, and what loading it says.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/safetensors.h"
#include "tests/base/temporary_folder.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"

namespace foresight {

using NamedTensors = std::map<std::string, torch::Tensor>;

/// The error that a copy of the family's model raises whose tensors `change` was called with; empty where it
/// loads.
inline std::string fault_of_changed(const std::string& family,
                                    const std::function<void(NamedTensors&)>& change) {
  const TemporaryFolder folder;
  const auto source = reference_folder() / "families" / family;
  std::filesystem::copy_file(source / "config.json", folder.path() / "config.json");
  const SafetensorsFile file(source / "model.safetensors");
  NamedTensors tensors;
  for (const auto& [name, view] : file.tensors()) tensors[name] = view_tensor(view).clone();
  change(tensors);
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  write_safetensors(folder.path() / "model.safetensors", list, {{"format", "pt"}});
  try {
    Transformer::load(folder.path(), {});
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kInput ? error.what() : "not a fault of the input";
  }
  return "";
}

}  // namespace foresight
