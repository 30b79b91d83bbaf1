#include "rl/advantages.h"

#include <algorithm>
#include <cmath>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// Credits [G, S] minus their group's mean, in double.
torch::Tensor centred(const torch::Tensor& credits) {
  if (credits.dim() != 2 || credits.size(0) < 1) {
    throw Error(ErrorKind::kInternal,
                concat("group advantages: expected credits [G, S] with G >= 1, got ", credits.sizes()));
  }
  const auto exact = credits.detach().to(torch::kFloat64);
  // Equal credits are found by comparison, because rounding keeps their deviation above 0.
  const auto equal = (credits == credits.narrow(0, 0, 1)).all(/*dim=*/0);
  return (exact - exact.mean(0, /*keepdim=*/true)).masked_fill(equal, 0.0);
}

}  // namespace

torch::Tensor group_advantages(const torch::Tensor& credits, AdvantageScale scale) {
  const auto differences = centred(credits);
  if (scale == AdvantageScale::kTrace) {
    return (differences / credit_deviation(credits)).to(credits.scalar_type());
  }
  const auto deviation = differences.square().mean(0, /*keepdim=*/true).sqrt();
  return (differences / deviation.clamp_min(kLeastDeviationNats)).to(credits.scalar_type());
}

double credit_deviation(const torch::Tensor& credits) {
  const auto differences = centred(credits);
  if (differences.numel() == 0) return kLeastDeviationNats;
  return std::max(kLeastDeviationNats, std::sqrt(differences.square().mean().item<double>()));
}

}  // namespace foresight
