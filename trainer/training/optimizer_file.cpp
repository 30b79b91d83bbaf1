#include "trainer/training/optimizer_file.h"

#include <charconv>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

torch::optim::AdamParamState& adam_state(torch::optim::Adam& optimizer, const torch::Tensor& parameter) {
  auto& slot = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!slot) slot = std::make_unique<torch::optim::AdamParamState>();
  return static_cast<torch::optim::AdamParamState&>(*slot);
}

std::int64_t updates_in(const SafetensorsFile& file) {
  const auto found = file.metadata().find("updates");
  const std::string text = found == file.metadata().end() ? "" : found->second;
  std::int64_t updates = -1;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), updates);
  if (fault != std::errc() || end != text.data() + text.size() || updates < 0) {
    throw Error(ErrorKind::kInput,
                concat(file.path().string(), ": metadata 'updates': expected a count, got '", text,
                       "'; resume from another checkpoint"));
  }
  return updates;
}

torch::Tensor moment_of(const SafetensorsFile& file, const torch::Tensor& parameter,
                        const std::string& name) {
  const torch::Tensor moment = view_tensor(file.at(name));
  if (moment.sizes() != parameter.sizes() || moment.scalar_type() != parameter.scalar_type()) {
    throw Error(ErrorKind::kInput,
                concat(file.path().string(), ": tensor '", name, "': expected ", parameter.scalar_type(), " ",
                       parameter.sizes(), ", got ", moment.scalar_type(), " ", moment.sizes(),
                       ": it belongs to another scorer; resume from another checkpoint"));
  }
  return moment.clone().to(parameter.device());
}

}  // namespace

void save_optimizer(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters,
                    const std::filesystem::path& file) {
  std::vector<TensorToWrite> tensors;
  std::vector<torch::Tensor> on_host;  // until they are written
  const auto add = [&](const std::string& name, const torch::Tensor& moment) {
    on_host.push_back(moment.to(torch::kCPU).contiguous());
    tensors.push_back(tensor_to_write(name, on_host.back()));
  };
  std::int64_t updates = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (optimizer.state().find(parameters[i].unsafeGetTensorImpl()) == optimizer.state().end()) continue;
    const auto& state = adam_state(optimizer, parameters[i]);
    updates = state.step();
    add(concat("parameter.", i, ".first_moment"), state.exp_avg());
    add(concat("parameter.", i, ".second_moment"), state.exp_avg_sq());
  }
  write_safetensors(file, tensors, {{"format", "foresight.adam.1"}, {"updates", std::to_string(updates)}});
}

void load_optimizer(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters,
                    const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const std::int64_t updates = updates_in(file);
  if (updates == 0) return;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto& state = adam_state(optimizer, parameters[i]);
    state.step(updates);
    state.exp_avg(moment_of(file, parameters[i], concat("parameter.", i, ".first_moment")));
    state.exp_avg_sq(moment_of(file, parameters[i], concat("parameter.", i, ".second_moment")));
  }
}

}  // namespace foresight
