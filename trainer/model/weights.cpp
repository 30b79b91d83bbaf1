#include "trainer/model/weights.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model_files/shard_index.h"

namespace foresight {
namespace {

/// No model.safetensors and no index of shards: says what there is instead.
[[noreturn]] void fail_without_weights(const std::filesystem::path& folder) {
  std::set<std::string> others;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string ending = entry->path().extension().string();
    const bool is_weights = ending == ".safetensors" || ending == ".bin" || ending == ".pt" ||
                            ending == ".pth" || ending == ".gguf";
    if (is_weights) others.insert(entry->path().filename().string());
  }
  const std::string file = (folder / "model.safetensors").string();
  if (std::filesystem::is_symlink(file, error)) {  // as in the hub's cache, where a download was cut short
    throw Error(ErrorKind::kInput,
                concat(file, ": a link to ", std::filesystem::read_symlink(file, error).string(),
                       ", which is not there; download the model again"));
  }
  if (others.empty()) {
    throw Error(ErrorKind::kInput, concat(file,
                                          ": not there; expected it, or its shards with "
                                          "model.safetensors.index.json"));
  }
  throw Error(ErrorKind::kInput,
              concat(file, ": not there, nor model.safetensors.index.json, only ", one_line(*others.begin()),
                     others.size() > 1 ? concat(" and ", others.size() - 1, " more such files") : "",
                     ": weights are read from safetensors; load the model in transformers and write it with "
                     "save_pretrained(FOLDER)"));
}

/// Qwen3.5's files have the text model where a folder with images has it: in model.language_model.
std::string plain_name(const std::string& stored) {
  constexpr std::string_view kInner = "model.language_model.";
  return stored.starts_with(kInner) ? "model." + stored.substr(kInner.size()) : stored;
}

/// Throws Error(kInput) naming the weights if a number of `values` is NaN or Inf.
void require_finite(const torch::Tensor& values, const std::string& name,
                    const std::filesystem::path& folder) {
  if (values.numel() == 0) return;
  const auto [least, most] = values.detach().aminmax();  // both are NaN if a number is
  if (std::isfinite(least.item<float>()) && std::isfinite(most.item<float>())) return;
  throw Error(ErrorKind::kInput, concat(folder.string(), ": tensor '", one_line(name),
                                        "' holds NaN or Inf; download or save the model again"));
}

}  // namespace

WeightReader::WeightReader(const std::filesystem::path& folder) : folder_(folder) {
  const auto single = folder / "model.safetensors";
  const auto index = folder / "model.safetensors.index.json";
  if (std::filesystem::exists(index) && !std::filesystem::exists(single)) {
    for (const std::string& name : read_shard_names(index)) {
      files_.push_back(std::make_unique<SafetensorsFile>(folder / name));
    }
  } else if (std::filesystem::exists(single)) {
    files_.push_back(std::make_unique<SafetensorsFile>(single));
  } else {
    fail_without_weights(folder);
  }
  for (const auto& file : files_) {
    for (const auto& [name, view] : file->tensors()) {
      if (!tensors_.emplace(plain_name(name), &view).second)
        faults_.push_back("'" + one_line(name) + "' is in two shards");
    }
  }
}

bool WeightReader::expect(const std::string& name, torch::IntArrayRef shape) {
  return expect(name, shape, /*bytes=*/false);
}

bool WeightReader::expect_bytes(const std::string& name, torch::IntArrayRef shape) {
  return expect(name, shape, /*bytes=*/true);
}

bool WeightReader::expect(const std::string& name, torch::IntArrayRef shape, bool bytes) {
  const auto note_fault = [&](const std::string& fault) {
    note(fault);
    return false;
  };
  used_.insert(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return note_fault(concat("'", name, "' is missing"));
  const TensorView& stored = *found->second;
  if (!std::ranges::equal(stored.shape, shape)) {
    return note_fault(concat("'", name, "' has shape [", one_line(join(stored.shape, ", ")),
                             "], config.json asks for ", shape));
  }
  if (bytes ? stored.dtype != Dtype::kUint8 : !is_floating_point(stored.dtype)) {
    return note_fault(
        concat("'", name, "' is ", dtype_name(stored.dtype), ", expected ", bytes ? "U8" : "floating point"));
  }
  return true;
}

torch::Tensor WeightReader::take(const std::string& name, torch::IntArrayRef shape) {
  // Never zeros of the asked shape: a damaged config.json may ask for any number of bytes.
  if (!expect(name, shape)) return torch::zeros({0});
  const torch::Tensor values =
      view_tensor(*tensors_.at(name)).to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
  require_finite(values, name, folder_);
  return values;
}

void WeightReader::read_into(const std::string& name, const torch::Tensor& destination) const {
  const torch::NoGradGuard no_grad;
  torch::Tensor target = destination;
  target.copy_(stored(name));
  require_finite(target, name, folder_);
}

torch::Tensor WeightReader::stored(const std::string& name) const {
  return view_tensor(*tensors_.at(name));
}

void WeightReader::ignore_below(const std::string& prefix) {
  for (auto found = tensors_.lower_bound(prefix); found != tensors_.end() && found->first.starts_with(prefix);
       ++found) {
    used_.insert(found->first);
  }
}

void WeightReader::finish() const {
  std::vector<std::string> faults = faults_;
  for (const auto& [name, view] : tensors_) {
    if (!used_.contains(name)) faults.push_back("'" + one_line(name) + "' is not part of the architecture");
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
