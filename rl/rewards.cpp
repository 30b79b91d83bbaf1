#include "rl/rewards.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

void check_cost(const torch::Tensor& cost, const torch::Tensor& mask) {
  if (cost.dim() == 2 && mask.dim() == 1 && mask.size(0) == cost.size(1) &&
      mask.scalar_type() == torch::kBool)
    return;
  throw Error(ErrorKind::kInternal, concat("reward: expected cost [R, T] and a bool mask [T], got ",
                                           cost.sizes(), " and ", mask.scalar_type(), " ", mask.sizes()));
}

}  // namespace

torch::Tensor squared_large_rise(const torch::Tensor& rise, double threshold_nats) {
  return torch::where(rise > threshold_nats, rise.square(), torch::zeros_like(rise));
}

torch::Tensor clamped_rise(const torch::Tensor& rise, double low_nats, double high_nats) {
  return rise.clamp(low_nats, high_nats);
}

torch::Tensor trace_rewards(const torch::Tensor& cost, const torch::Tensor& mask) {
  check_cost(cost, mask);
  // Selected, not multiplied: a NaN outside has no effect. By a mask, as a GPU would have to be waited for to
  // know how many there are.
  const auto selected = torch::where(mask.unsqueeze(0), cost, torch::zeros_like(cost));
  return (selected.to(torch::kFloat64).sum(1) / mask.sum().clamp_min(1)).neg().to(cost.scalar_type());
}

torch::Tensor window_rewards(const torch::Tensor& cost, const torch::Tensor& mask, std::int64_t first_token,
                             std::int64_t window, std::int64_t steps) {
  check_cost(cost, mask);
  if (first_token < 0 || window < 1 || steps < 0) {
    throw Error(ErrorKind::kInternal,
                concat("window rewards: first token ", first_token, ", window ", window, ", steps ", steps,
                       ": expected first >= 0, window >= 1, steps >= 0"));
  }
  const std::int64_t tokens = cost.size(1);
  auto rewards = torch::zeros({cost.size(0), steps}, cost.options());
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t begin = std::min(first_token + step * window, tokens);
    const std::int64_t length = std::min(window, tokens - begin);
    rewards.select(1, step).copy_(
        trace_rewards(cost.narrow(1, begin, length), mask.narrow(0, begin, length)));
  }
  return rewards;
}

torch::Tensor discounted_credit(const torch::Tensor& rewards, double discount) {
  if (rewards.dim() != 2) {
    throw Error(ErrorKind::kInternal,
                concat("discounted credit: expected rewards [R, S], got ", rewards.sizes()));
  }
  const std::int64_t steps = rewards.size(1);
  auto credit = rewards.to(torch::kFloat64, /*non_blocking=*/false, /*copy=*/true);
  for (std::int64_t step = steps - 2; step >= 0; --step) {
    credit.select(1, step).add_(credit.select(1, step + 1), discount);
  }
  return credit.to(rewards.scalar_type());
}

}  // namespace foresight
