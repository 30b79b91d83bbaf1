#include "rl/policy_terms.h"

#include <torch/utils.h>

#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/choice_terms.h"
#include "trainer/kernels/highest.h"

namespace foresight {
namespace {

/// `indices` [..., W] must index the last dimension of `logits` [..., M].
void check_indices(const torch::Tensor& logits, const torch::Tensor& indices, const char* where) {
  const bool leading_agree =
      logits.dim() > 0 && indices.dim() == logits.dim() &&
      logits.sizes().slice(0, logits.dim() - 1) == indices.sizes().slice(0, logits.dim() - 1);
  if (leading_agree && indices.scalar_type() == torch::kInt64 && indices.size(-1) >= 1) return;
  throw Error(
      ErrorKind::kInternal,
      concat(where,
             ": expected logits [..., M] and int64 indices [..., W], W >= 1, of the same leading shape, got ",
             logits.sizes(), " and ", indices.scalar_type(), " ", indices.sizes()));
}

}  // namespace

torch::Tensor plackett_luce_log_likelihood(const torch::Tensor& shortlist_logits,
                                           const torch::Tensor& draws) {
  check_indices(shortlist_logits, draws, "Plackett-Luce likelihood");
  const std::int64_t shortlist = shortlist_logits.size(-1), drawn_count = draws.size(-1);
  if (drawn_count > shortlist) {
    throw Error(ErrorKind::kInternal, concat("Plackett-Luce likelihood: ", drawn_count,
                                             " draws without replacement from ", shortlist, " candidates"));
  }
  const auto drawn = shortlist_logits.gather(-1, draws);  // [..., W]
  auto from_last = drawn.flip(-1);                        // a_W .. a_1
  if (drawn_count < shortlist) {
    const auto is_drawn = torch::zeros_like(shortlist_logits, torch::kBool).scatter_(-1, draws, true);
    const auto never_drawn = shortlist_logits.masked_fill(is_drawn, -std::numeric_limits<double>::infinity());
    from_last = torch::cat({never_drawn.logsumexp(-1, /*keepdim=*/true), from_last}, -1);  // [..., 1 + W]
  }
  const auto left =
      from_last.logcumsumexp(-1).narrow(-1, from_last.size(-1) - drawn_count, drawn_count).flip(-1);
  return drawn - left;
}

DrawTerms plackett_luce_terms(const torch::Tensor& logits, const torch::Tensor& reference,
                              const torch::Tensor& draws) {
  check_indices(logits, draws, "Plackett-Luce terms");
  check_indices(reference, draws, "Plackett-Luce terms of the reference");
  if (!kernels::suits_choice_terms(logits.device(), logits.size(-1)) ||
      logits.scalar_type() != torch::kFloat32 || reference.scalar_type() != torch::kFloat32)
    return plain::plackett_luce_terms(logits, reference, draws);
  const torch::Tensor own = logits.contiguous(), other = reference.contiguous(), drawn = draws.contiguous();
  const auto heads = own.sizes().slice(0, own.dim() - 1);
  DrawTerms terms{.likelihood = torch::empty(heads, own.options()),
                  .likelihood_of_reference = torch::empty(heads, own.options()),
                  .derivatives = torch::empty_like(own)};
  kernels::ChoiceWork work;
  work.logits = own.const_data_ptr<float>();
  work.reference = other.const_data_ptr<float>();
  work.draws = drawn.const_data_ptr<std::int64_t>();
  work.likelihood = terms.likelihood.mutable_data_ptr<float>();
  work.likelihood_of_reference = terms.likelihood_of_reference.mutable_data_ptr<float>();
  work.derivatives = terms.derivatives.mutable_data_ptr<float>();
  work.candidates = own.size(-1);
  work.heads = own.numel() / own.size(-1);
  work.window = drawn.size(-1);
  kernels::find_terms(work, own.device());
  return terms;
}

DrawTerms plain::plackett_luce_terms(const torch::Tensor& logits, const torch::Tensor& reference,
                                     const torch::Tensor& draws) {
  const torch::NoGradGuard no_grad;
  const std::int64_t window = draws.size(-1);
  const torch::Tensor by_draw = plackett_luce_log_likelihood(logits, draws), drawn = logits.gather(-1, draws);
  // Logarithms of the sums of 1 / s_i up to each draw: products of these with e^logit cannot overflow.
  const torch::Tensor gathered = (by_draw - drawn).logcumsumexp(-1);
  torch::Tensor derivatives = (logits + gathered.narrow(-1, window - 1, 1)).exp_().neg_();
  derivatives.scatter_(-1, draws, 1.0 - (drawn + gathered).exp_());
  return {.likelihood = by_draw.mean(-1),
          .likelihood_of_reference = plackett_luce_log_likelihood(reference, draws).mean(-1),
          .derivatives = derivatives.div_(static_cast<double>(window))};
}

torch::Tensor independent_log_likelihood(const torch::Tensor& logits, const torch::Tensor& indices) {
  check_indices(logits, indices, "independent likelihood");
  return torch::log_softmax(logits, -1).gather(-1, indices);
}

torch::Tensor gumbel_top_k(const torch::Tensor& logits, const torch::Tensor& gumbel, std::int64_t count) {
  const std::int64_t shortlist = logits.dim() > 0 ? logits.size(-1) : 0;
  if (logits.sizes() != gumbel.sizes() || count < 1 || count > shortlist) {
    throw Error(ErrorKind::kInternal,
                concat("Gumbel draw: ", count, " draws from logits ", logits.sizes(), " with noise ",
                       gumbel.sizes(), ", expected equal shapes and 1 <= draws <= candidates"));
  }
  return kernels::highest(logits.detach() + gumbel, count);
}

torch::Tensor likelihood_ratio(const torch::Tensor& log_likelihood_new,
                               const torch::Tensor& log_likelihood_old) {
  if (log_likelihood_new.sizes() != log_likelihood_old.sizes()) {
    throw Error(ErrorKind::kInternal,
                concat("policy ratio: log-likelihoods of shapes ", log_likelihood_new.sizes(), " and ",
                       log_likelihood_old.sizes(), ", expected the same"));
  }
  return (log_likelihood_new - log_likelihood_old.detach()).clamp(-10.0, 10.0).exp();
}

torch::Tensor clipped_policy_loss(const torch::Tensor& log_likelihood_new,
                                  const torch::Tensor& log_likelihood_old, const torch::Tensor& advantages,
                                  double clip_range) {
  const auto ratio = likelihood_ratio(log_likelihood_new, log_likelihood_old);
  const auto clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range);
  const auto weight = advantages.detach();
  return torch::minimum(ratio * weight, clipped * weight).neg();
}

double clipped_share(const torch::Tensor& log_likelihood_new, const torch::Tensor& log_likelihood_old,
                     const torch::Tensor& advantages, double clip_range) {
  const auto ratio = likelihood_ratio(log_likelihood_new.detach(), log_likelihood_old);
  const auto clipped =
      ((ratio < 1.0 - clip_range) & (advantages < 0)) | ((ratio > 1.0 + clip_range) & (advantages > 0));
  return clipped.numel() == 0 ? 0.0 : clipped.to(torch::kFloat64).mean().item<double>();
}

torch::Tensor kl_k3(const torch::Tensor& log_likelihood_new, const torch::Tensor& log_likelihood_reference) {
  const auto difference = log_likelihood_reference.detach() - log_likelihood_new;
  return difference.expm1() - difference;  // expm1: no cancellation where the policies nearly agree
}

}  // namespace foresight
