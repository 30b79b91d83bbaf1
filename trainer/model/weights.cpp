#include "trainer/model/weights.h"

#include <nlohmann/json.hpp>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

std::set<std::string> shard_names(const std::filesystem::path& index_file) {
  const auto index = nlohmann::json::parse(read_file(index_file), nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw Error(ErrorKind::kInput, index_file.string() + ": expected an object with 'weight_map'");
  }
  std::set<std::string> names;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || std::filesystem::path(file.get<std::string>()).has_parent_path()) {
      throw Error(ErrorKind::kInput,
                  concat(index_file.string(), ": weight_map of '", tensor, "': expected a file name"));
    }
    names.insert(file.get<std::string>());
  }
  return names;
}

}  // namespace

WeightReader::WeightReader(const std::filesystem::path& folder) : folder_(folder) {
  const auto single = folder / "model.safetensors";
  const auto index = folder / "model.safetensors.index.json";
  if (std::filesystem::exists(index) && !std::filesystem::exists(single)) {
    for (const std::string& name : shard_names(index)) {
      files_.push_back(std::make_unique<SafetensorsFile>(folder / name));
    }
  } else {
    files_.push_back(std::make_unique<SafetensorsFile>(single));
  }
  for (const auto& file : files_) {
    for (const auto& [name, view] : file->tensors()) {
      if (!tensors_.emplace(name, &view).second) faults_.push_back("'" + name + "' stands in two shards");
    }
  }
}

torch::Tensor WeightReader::take(const std::string& name, torch::IntArrayRef shape) {
  used_.insert(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    faults_.push_back("'" + name + "' is missing");
    return torch::zeros(shape);
  }
  const torch::Tensor stored = view_tensor(*found->second);
  if (stored.sizes() != shape) {
    faults_.push_back(concat("'", name, "' has shape ", stored.sizes(), ", config.json asks for ", shape));
    return torch::zeros(shape);
  }
  if (!stored.is_floating_point()) {
    faults_.push_back(
        concat("'", name, "' is ", dtype_name(found->second->dtype), ", expected floating point"));
    return torch::zeros(shape);
  }
  return stored.to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
}

void WeightReader::finish() const {
  std::vector<std::string> faults = faults_;
  for (const auto& [name, view] : tensors_) {
    if (!used_.contains(name)) faults.push_back("'" + name + "' is not part of the architecture");
  }
  if (faults.empty()) return;
  const std::size_t count = faults.size();
  if (count > 8) faults.resize(8);
  throw Error(ErrorKind::kInput, concat(folder_.string(), ": the weights do not fit config.json (", count,
                                        " faults): ", join(faults, "; "), count > 8 ? "; ..." : ""));
}

std::vector<std::filesystem::path> WeightReader::files() const {
  std::vector<std::filesystem::path> paths;
  for (const auto& file : files_) paths.push_back(file->path());
  return paths;
}

}  // namespace foresight
