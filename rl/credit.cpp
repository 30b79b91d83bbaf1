#include "rl/credit.h"

#include "rl/advantages.h"
#include "rl/rewards.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/traces/token_selection.h"

namespace foresight {
namespace {

/// 0 if the mask is empty: a trace that ends at its first eviction has no token after it.
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
  throw Error(
      ErrorKind::kNumeric,
      concat("grpo: step ", step + 1, ", trace ", trace_id, ": the ", what, " of token ",
             first[1].item<std::int64_t>(), " in rollout ", first[0].item<std::int64_t>(),
             " is not finite; the last checkpoint is kept: check the model's weights and runtime.dtype"));
}

}  // namespace

torch::Tensor token_cost(const torch::Tensor& rise, const torch::Tensor& divergence,
                         const CreditOptions& options) {
  switch (options.reward) {
    case RewardShape::kExpectedRise:
      check_shape(divergence, rise.sizes(), "divergence of the rollouts");
      return divergence;
    case RewardShape::kSquaredLargeRise:
      return squared_large_rise(rise, options.threshold_nats);
    case RewardShape::kMeanRise:
      return rise;
    case RewardShape::kClampedRise:
      break;
  }
  return clamped_rise(rise, options.clamp_low_nats, options.clamp_high_nats);
}

torch::Tensor rewarded_tokens(const RecordedTrace& trace, const CacheSize& size,
                              const CreditOptions& options) {
  const torch::Tensor scored = scored_tokens(trace, size.first_scored(), ScoreTokens::kAll);
  return options.tokens == RewardTokens::kLowEntropy
             ? low_entropy_mask(trace.entropy, scored, options.low_entropy_share)
             : scored;
}

GroupCredit group_credit(const torch::Tensor& losses, const torch::Tensor& divergence,
                         const RecordedTrace& trace, const CreditOptions& options, const CacheSize& size,
                         std::int64_t step) {
  require_finite(losses, "loss", trace.id, step);
  if (divergence.defined()) require_finite(divergence, "divergence", trace.id, step);
  const std::int64_t steps = size.steps(trace.length());
  const torch::Tensor rise = losses - trace.loss.unsqueeze(0);  // [G, L]
  const torch::Tensor scored = scored_tokens(trace, size.first_scored(), ScoreTokens::kAll);
  const torch::Tensor low = low_entropy_mask(trace.entropy, scored, options.low_entropy_share);
  const torch::Tensor mask = rewarded_tokens(trace, size, options);
  const torch::Tensor cost = token_cost(rise, divergence, options);
  GroupCredit credit;
  credit.rewards = trace_rewards(cost, mask);
  const bool by_step = options.credit == Credit::kStep;
  const torch::Tensor credits =  // [G, S], or [G, 1]: one for the whole trace
      by_step ? discounted_credit(window_rewards(cost, mask, size.first_scored(), size.window, steps),
                                  options.discount)
              : credit.rewards.unsqueeze(1);
  credit.advantages = group_advantages(credits, options.scale).t().expand({steps, -1});
  credit.deviation = credit_deviation(credits);
  credit.loss_rise = masked_mean(rise, scored);
  credit.low_entropy_loss_rise = masked_mean(rise, low);
  credit.large_rise_share = masked_mean((rise > options.threshold_nats).to(torch::kFloat64), mask);
  credit.without_signal = credit.advantages.abs().max().item<double>() == 0.0;
  return credit;
}

}  // namespace foresight
