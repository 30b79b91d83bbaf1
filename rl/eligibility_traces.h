// The policy gradient in one pass: its memory is that of the scorer, however long the trace is.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "rl/policy_choice.h"
#include "trainer/eviction/row_layout.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// Gradients of one choice in the weights of its layer.
struct ChoiceGradients {
  torch::Tensor likelihood;  ///< [R, P]: of each row's log-likelihood, summed over KV heads
  torch::Tensor divergence;  ///< [R, P]: of its k3 estimate of KL(policy || reference), summed likewise
  torch::Tensor estimate;    ///< []: that estimate, summed over rows and heads
};
/// `scorer` is the policy that sampled; the logits of the choice are its own.
ChoiceGradients choice_gradients(const Scorer& scorer, const Scorer& reference, std::int64_t layer,
                                 const PolicyChoice& choice, const PolicyOptions& options);

/// Rollouts of whole groups whose evictions are credited by step. With rho[j, r] the reward of the window
/// after eviction j, c[s, r] = sum over j >= s of gamma^(j - s) rho[j, r] the credit of eviction s, and
/// advantages (c[s, r] - mean over r) / sigma, exchanging the sums gives
///     sum over s, r of A[s, r] g[s, r] = 1 / sigma * sum over j, r of (rho[j, r] - mean over r) e[j, r],
///     e[j, r] = gamma e[j - 1, r] + g[j, r],   g[s, r] the gradient of the log-likelihood of action s,
/// so that only e is kept. (Eligibility traces as of REINFORCE, Williams 1992; the sums above are exact.)
class EligibilityTraces {
 public:
  /// `scorer` is the policy that draws, `discount` gamma. Both scorers must outlive this.
  EligibilityTraces(const Scorer& scorer, const Scorer& reference, const PolicyOptions& options,
                    const RowLayout& rows, double discount);

  /// Adds an action of one layer: its gradient waits until the window that it ends is rewarded.
  void act(std::int64_t layer, const PolicyChoice& choice);
  /// Ends the window that the last actions ended: `rewards` [R] of the actions before them, or undefined for
  /// the prefix, which follows no action. Call it after each window.
  void reward(const torch::Tensor& rewards);

  /// sum over s, r of c[s, r] minus its group's mean, times g[s, r], for each trace: [N, P] of a layer.
  const torch::Tensor& credit_gradient(std::int64_t layer) const { return layers_.at(layer).credit; }
  /// Gradient of the divergence, summed over actions and rows: [P] of a layer.
  const torch::Tensor& divergence_gradient(std::int64_t layer) const { return layers_.at(layer).divergence; }
  /// The divergence itself, summed over layers, actions, rows and KV heads.
  double divergence() const;

 private:
  struct Layer {
    torch::Tensor trace;       // e: [R, P]
    torch::Tensor waiting;     // g of the newest action: [R, P], or undefined
    torch::Tensor credit;      // [N, P]
    torch::Tensor divergence;  // [P]
    torch::Tensor estimate;    // []
  };
  const Scorer* scorer_;
  const Scorer* reference_;
  PolicyOptions options_;
  RowLayout rows_;
  double discount_;
  std::vector<Layer> layers_;
};

}  // namespace foresight
