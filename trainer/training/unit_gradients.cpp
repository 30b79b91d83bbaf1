#include "trainer/training/unit_gradients.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

constexpr const char* kWhat = "sum of gradients";

/// [P]: the gradients one after the other, zeros where a parameter has none.
torch::Tensor flat_gradients(const std::vector<torch::Tensor>& parameters) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    parts.push_back(gradient.defined() ? gradient.flatten()
                                       : torch::zeros_like(parameter).detach().flatten());
  }
  return torch::cat(parts);
}

std::int64_t total_size(const std::vector<torch::Tensor>& parameters) {
  std::int64_t size = 0;
  for (const torch::Tensor& parameter : parameters) size += parameter.numel();
  return size;
}

/// `flat` [P]: the gradients of `parameters`, as flat_gradients() gives them.
void require_finite(const torch::Tensor& flat, const std::vector<torch::Tensor>& parameters,
                    const std::string& where) {
  constexpr std::size_t kParametersPerLayer = 4;
  const torch::Tensor finite = torch::isfinite(flat);
  if (finite.all().item<bool>()) return;
  const std::int64_t first = finite.logical_not().nonzero()[0].item<std::int64_t>();
  std::size_t culprit = 0;
  for (std::int64_t end = parameters[0].numel(); end <= first; end += parameters[culprit].numel()) ++culprit;
  throw Error(ErrorKind::kNumeric,
              concat(where, ": the gradient of layer ", culprit / kParametersPerLayer,
                     " is not finite; the last checkpoint is kept: lower the stage's learning_rate"));
}

void set_flat_gradients(const std::vector<torch::Tensor>& parameters, const torch::Tensor& flat) {
  std::int64_t at = 0;
  for (torch::Tensor parameter : parameters) {
    parameter.mutable_grad() = flat.narrow(0, at, parameter.numel()).view(parameter.sizes()).clone();
    at += parameter.numel();
  }
}

}  // namespace

SumOrder sum_order(const Config& config) {
  return config.runtime.deterministic ? SumOrder::kFixed : SumOrder::kAny;
}

void require_finite_gradients(const std::vector<torch::Tensor>& parameters, const std::string& where) {
  require_finite(flat_gradients(parameters), parameters, where);
}

UnitGradients::UnitGradients(World& world, std::vector<torch::Tensor> parameters, std::vector<int> rank_of,
                             SumOrder order)
    : world_(&world), parameters_(std::move(parameters)), rank_of_(std::move(rank_of)), order_(order) {}

void UnitGradients::add_unit(const std::string& where) {
  torch::Tensor flat = flat_gradients(parameters_);
  require_finite(flat, parameters_, where);
  for (torch::Tensor parameter : parameters_) parameter.mutable_grad().reset();
  ++added_;
  if (order_ == SumOrder::kFixed && world_->size() > 1) {
    own_.push_back(std::move(flat));
  } else if (!sum_.defined()) {
    sum_ = std::move(flat);
  } else {
    sum_.add_(flat);
  }
}

void UnitGradients::set_summed_gradients() {
  const auto owned = std::count(rank_of_.begin(), rank_of_.end(), world_->rank());
  if (static_cast<std::ptrdiff_t>(added_) != owned)
    throw Error(ErrorKind::kInternal, concat("gradients of ", added_, " units of ", owned));
  const torch::Device device = parameters_.front().device();
  DeviceGroup* devices = device.is_cuda() ? world_->devices(device.index()) : nullptr;
  if (order_ == SumOrder::kFixed && world_->size() > 1) {
    torch::Tensor sum;
    for (const torch::Tensor& flat : devices != nullptr ? share_on_devices(*devices) : share_on_hosts())
      sum = sum.defined() ? sum.add_(flat) : flat.clone();
    sum_ = sum;
  } else {
    if (!sum_.defined())  // more ranks than units
      sum_ = torch::zeros({total_size(parameters_)}, parameters_.front().options().requires_grad(false));
    if (devices != nullptr) {
      devices->sum(sum_.data_ptr<float>(), static_cast<std::size_t>(sum_.numel()), kWhat);
    } else {
      sum_ = sum_.to(torch::kCPU);
      world_->sum({sum_.data_ptr<float>(), static_cast<std::size_t>(sum_.numel())}, kWhat);
    }
  }
  set_flat_gradients(parameters_, sum_.to(device));
  sum_.reset();
  own_.clear();
  added_ = 0;
}

std::vector<torch::Tensor> UnitGradients::share_on_hosts() const {
  std::vector<std::string> own;
  for (const torch::Tensor& flat : own_) own.push_back(pack_tensors({flat}));
  std::vector<torch::Tensor> flats;
  for (const std::string& unit : share_units(*world_, rank_of_, own, kWhat))
    flats.push_back(unpack_tensors(unit).front());
  return flats;
}

std::vector<torch::Tensor> UnitGradients::share_on_devices(DeviceGroup& devices) const {
  const std::int64_t width = total_size(parameters_);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_->size()), 0);
  for (const int rank : rank_of_) ++counts[static_cast<std::size_t>(rank)];
  const std::int64_t most = *std::max_element(counts.begin(), counts.end());
  const auto options = parameters_.front().options().requires_grad(false);
  torch::Tensor mine = torch::zeros({most, width}, options);  // NCCL gathers equal counts
  for (std::size_t i = 0; i < own_.size(); ++i) mine[static_cast<std::int64_t>(i)].copy_(own_[i]);
  const torch::Tensor all = torch::empty({world_->size() * most, width}, options);
  devices.all_gather(mine.const_data_ptr<float>(), all.data_ptr<float>(),
                     static_cast<std::size_t>(mine.numel()), kWhat);
  std::vector<torch::Tensor> flats;
  std::vector<std::int64_t> next(counts.size(), 0);
  for (const int rank : rank_of_) flats.push_back(all[rank * most + next[static_cast<std::size_t>(rank)]++]);
  return flats;
}

}  // namespace foresight
