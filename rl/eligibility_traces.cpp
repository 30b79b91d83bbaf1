#include "rl/eligibility_traces.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/utils.h>

#include "rl/policy_terms.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// The mean over draws: the independent likelihood has one value per draw, the other is a mean already.
torch::Tensor mean_over_draws(const torch::Tensor& values) {
  return values.dim() == 3 ? values.mean(-1) : values;  // [R, K]
}

}  // namespace

ChoiceGradients choice_gradients(const Scorer& scorer, const Scorer& reference, std::int64_t layer,
                                 const PolicyChoice& choice, const PolicyOptions& options) {
  torch::Tensor estimate, of_likelihood, of_divergence;  // [], then [R, K, M] in the logits
  {
    const torch::Tensor from_start = choice_log_likelihood(choice_logits(reference, layer, choice, options),
                                                           choice.draws, options.likelihood)
                                         .detach();
    const torch::AutoGradMode with_gradients(true);
    const torch::Tensor logits = choice.logits.detach().requires_grad_();
    const torch::Tensor likelihood = choice_log_likelihood(logits, choice.draws, options.likelihood);
    const torch::Tensor divergence = mean_over_draws(kl_k3(likelihood, from_start)).sum();
    of_likelihood = torch::autograd::grad({mean_over_draws(likelihood).sum()}, {logits}, {}, true)[0];
    of_divergence = torch::autograd::grad({divergence}, {logits})[0];
    estimate = divergence.detach();
  }
  const auto gradients = scorer.row_gradients(
      layer, choice.features, {of_likelihood / options.temperature, of_divergence / options.temperature});
  return {gradients[0], gradients[1], estimate};
}

EligibilityTraces::EligibilityTraces(const Scorer& scorer, const Scorer& reference,
                                     const PolicyOptions& options, const RowLayout& rows, double discount)
    : scorer_(&scorer), reference_(&reference), options_(options), rows_(rows), discount_(discount) {
  const auto numbers = torch::TensorOptions().device(scorer.device());
  for (std::int64_t index = 0; index < scorer.layers(); ++index) {
    const std::int64_t width = scorer.layer_numbers(index);
    layers_.push_back({.trace = torch::zeros({rows.rows(), width}, numbers),
                       .waiting = {},
                       .credit = torch::zeros({rows.traces, width}, numbers),
                       .divergence = torch::zeros({width}, numbers),
                       .estimate = torch::zeros({}, numbers.dtype(torch::kFloat64))});
  }
}

void EligibilityTraces::act(std::int64_t index, const PolicyChoice& choice) {
  Layer& layer = layers_.at(static_cast<std::size_t>(index));
  const ChoiceGradients gradients = choice_gradients(*scorer_, *reference_, index, choice, options_);
  layer.waiting = gradients.likelihood;
  layer.divergence.add_(gradients.divergence.sum(0));
  layer.estimate.add_(gradients.estimate);
}

void EligibilityTraces::reward(const torch::Tensor& rewards) {
  torch::Tensor centred;  // [copies, N, 1]
  if (rewards.defined()) {
    check_shape(rewards, {rows_.rows()}, "rewards of a window");
    const torch::Tensor by_copy = rows_.by_copy(rewards.to(torch::kFloat64));
    centred = to_device((by_copy - by_copy.mean(0, /*keepdim=*/true)).to(torch::kFloat32), scorer_->device())
                  .unsqueeze(-1);
  }
  for (Layer& layer : layers_) {
    if (centred.defined()) layer.credit.add_((rows_.by_copy(layer.trace) * centred).sum(0));
    if (!layer.waiting.defined()) continue;
    layer.trace.mul_(discount_).add_(layer.waiting);
    layer.waiting = torch::Tensor();
  }
}

double EligibilityTraces::divergence() const {
  double sum = 0;
  for (const Layer& layer : layers_) sum += layer.estimate.item<double>();
  return sum;
}

}  // namespace foresight
