#include "rl/eligibility_traces.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/utils.h>

#include "rl/policy_terms.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Derivatives in the logits [R, K, M] of a choice, and the divergence itself.
struct Derivatives {
  torch::Tensor likelihood, divergence, estimate;
};

/// Of draws one after the other. k3 = expm1(d) - d with d = reference - l has the derivative -expm1(d) in l.
Derivatives of_ordered_draws(const PolicyChoice& choice, const torch::Tensor& from_start) {
  const DrawTerms terms = plackett_luce_terms(choice.logits, from_start, choice.draws);
  const torch::Tensor slope = (terms.likelihood_of_reference - terms.likelihood).expm1_().neg_();  // [R, K]
  return {.likelihood = terms.derivatives,
          .divergence = terms.derivatives * slope.unsqueeze(-1),
          .estimate = kl_k3(terms.likelihood, terms.likelihood_of_reference).sum()};
}

/// Of the authors' likelihood, by autograd: means over the draws.
Derivatives of_independent_draws(const PolicyChoice& choice, const torch::Tensor& from_start) {
  const torch::Tensor reference = independent_log_likelihood(from_start, choice.draws);  // [R, K, W]
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor logits = choice.logits.detach().requires_grad_();
  const torch::Tensor likelihood = independent_log_likelihood(logits, choice.draws);
  const torch::Tensor divergence = kl_k3(likelihood, reference).mean(-1).sum();
  return {.likelihood = torch::autograd::grad({likelihood.mean(-1).sum()}, {logits}, {}, true)[0],
          .divergence = torch::autograd::grad({divergence}, {logits})[0],
          .estimate = divergence.detach()};
}

}  // namespace

ChoiceGradients choice_gradients(const Scorer& scorer, const Scorer& reference, std::int64_t layer,
                                 const PolicyChoice& choice, const PolicyOptions& options) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor from_start = choice_logits(reference, layer, choice, options);
  const Derivatives found = options.likelihood == Likelihood::kPlackettLuce
                                ? of_ordered_draws(choice, from_start)
                                : of_independent_draws(choice, from_start);
  const auto gradients =
      scorer.row_gradients(layer, choice.features,
                           {found.likelihood / options.temperature, found.divergence / options.temperature});
  return {gradients[0], gradients[1], found.estimate};
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
    const torch::Tensor about_mean = by_copy - by_copy.mean(0, /*keepdim=*/true);
    centred = to_device(about_mean.to(torch::kFloat32), scorer_->device()).unsqueeze(-1);
  }
  for (Layer& layer : layers_) {
    if (centred.defined()) layer.credit.add_((rows_.by_copy(layer.trace) * centred).sum(0));
    if (!layer.waiting.defined()) continue;
    layer.trace = layer.waiting.add_(layer.trace, discount_);
    layer.waiting = torch::Tensor();
  }
}

double EligibilityTraces::divergence() const {
  double sum = 0;
  for (const Layer& layer : layers_) sum += layer.estimate.item<double>();
  return sum;
}

}  // namespace foresight
