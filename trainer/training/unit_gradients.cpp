#include "trainer/training/unit_gradients.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

constexpr const char* kWhat = "sum of gradients";

/// [P]: the gradients one after the other, zeros where a parameter has none; then clears them.
torch::Tensor take_flat(const std::vector<torch::Tensor>& parameters) {
  std::vector<torch::Tensor> parts;
  for (torch::Tensor parameter : parameters) {
    torch::Tensor& gradient = parameter.mutable_grad();
    parts.push_back(gradient.defined() ? gradient.flatten()
                                       : torch::zeros_like(parameter).detach().flatten());
    gradient.reset();
  }
  return torch::cat(parts);
}

void put_flat(const std::vector<torch::Tensor>& parameters, const torch::Tensor& flat) {
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

UnitGradients::UnitGradients(World& world, std::vector<torch::Tensor> parameters, std::vector<int> rank_of,
                             SumOrder order)
    : world_(&world), parameters_(std::move(parameters)), rank_of_(std::move(rank_of)), order_(order) {}

void UnitGradients::take() {
  torch::Tensor flat = take_flat(parameters_);
  ++taken_;
  if (order_ == SumOrder::kFixed && world_->size() > 1) {
    own_.push_back(std::move(flat));
  } else if (!sum_.defined()) {
    sum_ = std::move(flat);
  } else {
    sum_.add_(flat);
  }
}

void UnitGradients::put_sum() {
  const auto owned = std::count(rank_of_.begin(), rank_of_.end(), world_->rank());
  if (static_cast<std::ptrdiff_t>(taken_) != owned)
    throw Error(ErrorKind::kInternal, concat("gradients of ", taken_, " units of ", owned));
  if (order_ == SumOrder::kFixed && world_->size() > 1) {
    std::vector<std::string> own;
    for (const torch::Tensor& flat : own_) own.push_back(pack_tensors({flat}));
    own_.clear();
    for (const std::string& unit : share_units(*world_, rank_of_, own, kWhat)) {
      const torch::Tensor flat = unpack_tensors(unit).front();
      sum_ = sum_.defined() ? sum_.add_(flat) : flat;
    }
  } else {
    if (!sum_.defined()) sum_ = torch::zeros_like(take_flat(parameters_));  // more ranks than units
    torch::Tensor host = sum_.to(torch::kCPU).contiguous();
    world_->sum({host.data_ptr<float>(), static_cast<std::size_t>(host.numel())}, kWhat);
    sum_ = host;
  }
  put_flat(parameters_, sum_.to(parameters_.front().device()));
  sum_.reset();
  taken_ = 0;
}

}  // namespace foresight
