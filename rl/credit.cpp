#include "rl/credit.h"

#include "rl/advantages.h"
#include "rl/rewards.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/token_selection.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// What a token costs, elementwise, before the mean.
torch::Tensor token_cost(const torch::Tensor& rise, const torch::Tensor& divergence,
                         const GrpoConfig& config) {
  switch (config.reward) {
    case RewardShape::kExpectedRise:
      check_shape(divergence, rise.sizes(), "divergence of the rollouts");
      return divergence;
    case RewardShape::kSquaredLargeRise:
      return squared_large_rise(rise, config.reward_threshold_nats);
    case RewardShape::kMeanRise:
      return rise;
    case RewardShape::kClampedRise:
      break;
  }
  return clamped_rise(rise, config.reward_clamp_low_nats, config.reward_clamp_high_nats);
}

/// 0 where nothing is masked: a trace that ends at its first eviction has no token that feels it.
double masked_mean(const torch::Tensor& values, const torch::Tensor& mask) {
  if (!mask.any().item<bool>()) return 0.0;
  return values.masked_select(mask.unsqueeze(0)).to(torch::kFloat64).mean().item<double>();
}

/// values [G, L]
void require_finite(const torch::Tensor& values, const char* what, const std::string& trace_id,
                    std::int64_t step) {
  const torch::Tensor finite = torch::isfinite(values);
  if (finite.all().item<bool>()) return;
  const torch::Tensor first = finite.logical_not().nonzero()[0];
  throw Error(ErrorKind::kNumeric,
              concat("grpo: step ", step + 1, ", trace ", trace_id, ": the ", what, " of token ",
                     first[1].item<std::int64_t>(), " in rollout ", first[0].item<std::int64_t>(),
                     " is not finite; the last checkpoint is kept: the model's weights or runtime.dtype are "
                     "at fault"));
}

}  // namespace

GroupCredit group_credit(const torch::Tensor& losses, const torch::Tensor& divergence,
                         const RecordedTrace& trace, const GrpoConfig& config, const CacheSize& size,
                         std::int64_t step) {
  require_finite(losses, "loss", trace.id, step);
  if (divergence.defined()) require_finite(divergence, "divergence", trace.id, step);
  const std::int64_t steps = size.steps(trace.length());
  const torch::Tensor rise = losses - trace.loss.unsqueeze(0);  // [G, L]
  const torch::Tensor scored = scored_tokens(trace, size.first_scored(), ScoreTokens::kAll);
  const torch::Tensor low = low_entropy_mask(trace.entropy, scored, config.low_entropy_share);
  const torch::Tensor mask = config.reward_tokens == RewardTokens::kLowEntropy ? low : scored;
  const torch::Tensor cost = token_cost(rise, divergence, config);
  GroupCredit credit;
  credit.rewards = trace_rewards(cost, mask);
  if (config.credit == Credit::kStep) {
    const torch::Tensor window =
        window_rewards(cost, mask, size.first_scored(), size.window, steps);  // [G, S]
    credit.advantages = group_advantages(discounted_credit(window, config.credit_discount)).t();
  } else {
    credit.advantages = group_advantages(credit.rewards).unsqueeze(0).expand({steps, -1});
  }
  credit.loss_rise = masked_mean(rise, scored);
  credit.low_entropy_loss_rise = masked_mean(rise, low);
  credit.large_rise_share = masked_mean((rise > config.reward_threshold_nats).to(torch::kFloat64), mask);
  credit.without_signal = credit.advantages.abs().max().item<double>() == 0.0;
  return credit;
}

}  // namespace foresight
