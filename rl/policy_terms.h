// The terms of the GRPO objective: sampling, likelihoods, the clipped loss and the KL penalty
// (docs/method.md, "Reinforcement learning"). Pure functions of tensors in float32 or float64; "..." is any
// number of leading dimensions, for example [rollouts, layers, KV heads].
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foresight {

/// Log-likelihood of a draw without replacement (Plackett-Luce), term by term:
///   term_i = s_{a_i} - logsumexp over what is left before draw i (the never drawn and a_i .. a_W).
/// `shortlist_logits` [..., M]: score / temperature of the shortlisted candidates. `draws` [..., W] int64, 1
/// <= W <= M: distinct indices into the shortlist in draw order. Returns [..., W]; their sum is the
/// log-likelihood of the ordered draw. Differentiable with respect to the logits, stable for large ones;
/// memory is O(M + W) a row (one running logsumexp from the end). Throws Error(kInternal) when shapes or
/// index type do not fit. The caller must make the indices distinct, as those of gumbel_top_k are.
torch::Tensor plackett_luce_log_likelihood(const torch::Tensor& shortlist_logits, const torch::Tensor& draws);

/// The means over the draws of plackett_luce_log_likelihood() by two policies' logits, and the derivatives of
/// the first.
struct DrawTerms {
  torch::Tensor likelihood;               ///< [R, K] by `logits`
  torch::Tensor likelihood_of_reference;  ///< [R, K] by `reference`
  torch::Tensor derivatives;              ///< [R, K, M] of `likelihood` in `logits`
};
/// logits, reference [R, K, M] float32, draws [R, K, W] as above. With s_i the sum of what is left before
/// draw i, the derivative in the logit of the candidate that draw j took is (1 - sum over i <= j of e^logit /
/// s_i) / W, in another's minus the whole sum over W. One launch on a GPU. Throws as above.
DrawTerms plackett_luce_terms(const torch::Tensor& logits, const torch::Tensor& reference,
                              const torch::Tensor& draws);
namespace plain {
/// The same from torch's operators, in the type of the logits.
DrawTerms plackett_luce_terms(const torch::Tensor& logits, const torch::Tensor& reference,
                              const torch::Tensor& draws);
}  // namespace plain

/// The authors' likelihood (grpo.likelihood: independent): log_softmax over all B candidates, taken at the
/// indices. `logits` [..., B], `indices` [..., W] int64. Returns [..., W]; differentiable. Throws as above.
torch::Tensor independent_log_likelihood(const torch::Tensor& logits, const torch::Tensor& indices);

/// W draws without replacement with probability proportional to exp(logit) (Gumbel top-k; Kool et al. 2019,
/// arXiv 1903.06059). `logits`, `gumbel` [..., M]: the noise is standard Gumbel, independent. Returns [...,
/// count] int64 in draw order, ties to the lower index; detached. Throws Error(kInternal) when the shapes
/// differ or count is not in 1 .. M.
torch::Tensor gumbel_top_k(const torch::Tensor& logits, const torch::Tensor& gumbel, std::int64_t count);

/// exp(clamp(new - old, -10, 10)), elementwise: the bound keeps an extreme term from overflowing a batch.
torch::Tensor likelihood_ratio(const torch::Tensor& log_likelihood_new,
                               const torch::Tensor& log_likelihood_old);

/// Elementwise clipped policy loss -min(ratio*A, clip(ratio, 1 - c, 1 + c)*A) (PPO's surrogate).
/// The log-likelihoods have one shape (one value per layer, KV head and step: the mean over the W draws; per
/// draw with the independent likelihood); `advantages` broadcasts against it. The gradient reaches
/// log_likelihood_new only.
torch::Tensor clipped_policy_loss(const torch::Tensor& log_likelihood_new,
                                  const torch::Tensor& log_likelihood_old, const torch::Tensor& advantages,
                                  double clip_range);

/// Share of all elements at which the clip is active, so that no gradient flows: ratio < 1 - c and advantage
/// < 0, or ratio > 1 + c and advantage > 0. Arguments as clipped_policy_loss.
double clipped_share(const torch::Tensor& log_likelihood_new, const torch::Tensor& log_likelihood_old,
                     const torch::Tensor& advantages, double clip_range);

/// Elementwise estimator k3 of KL(policy || reference): exp(d) - d - 1 with d = reference - new
/// (Schulman 2020). Never negative; unbiased under draws of the policy. The reference gets no gradient.
torch::Tensor kl_k3(const torch::Tensor& log_likelihood_new, const torch::Tensor& log_likelihood_reference);

}  // namespace foresight
