#include "rl/advantages.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr double kStandardDeviationFloor = 1e-8;

/// [...] bool: the groups whose rewards are all equal. By comparison, not by a deviation that rounding keeps
/// above 0.
torch::Tensor all_equal(const torch::Tensor& rewards) {
  if (rewards.dim() < 1 || rewards.size(0) < 1) {
    throw Error(ErrorKind::kInternal,
                concat("group advantages: expected rewards [G, ...] with G >= 1, got ", rewards.sizes()));
  }
  return (rewards == rewards.narrow(0, 0, 1)).all(/*dim=*/0);
}

}  // namespace

torch::Tensor group_advantages(const torch::Tensor& rewards) {
  const auto equal = all_equal(rewards);
  const auto exact = rewards.detach().to(torch::kFloat64);
  const auto centred = exact - exact.mean(0, /*keepdim=*/true);
  const auto deviation = centred.square().mean(0, /*keepdim=*/true).sqrt();
  return (centred / (deviation + kStandardDeviationFloor)).masked_fill(equal, 0.0).to(rewards.scalar_type());
}

double zero_std_share(const torch::Tensor& rewards) {
  const auto equal = all_equal(rewards);
  return equal.numel() == 0 ? 0.0 : equal.to(torch::kFloat64).mean().item<double>();
}

}  // namespace foresight
