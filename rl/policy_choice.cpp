#include "rl/policy_choice.h"

#include <algorithm>

#include "rl/policy_terms.h"
#include "trainer/eviction/protection.h"
#include "trainer/scorer/entry_scores.h"

namespace foresight {
namespace {

/// Logit of candidates that are not sampled: their likelihood is 0, and gradients stay free of infinities.
constexpr double kNeverDrawn = -1e30;

torch::Tensor open_logits(const torch::Tensor& logits, const torch::Tensor& closed) {
  return closed.defined() ? logits.masked_fill(closed, kNeverDrawn) : logits;
}

}  // namespace

EvictionSelector policy_selector(const Scorer& policy, const PolicyOptions& options, DrawSource draw,
                                 ChoiceConsumer consume) {
  return [policy, options, draw = std::move(draw), consume = std::move(consume)](const EvictionView& view) {
    const Candidates candidates(policy, view);
    const torch::Tensor scores = candidates.scores();  // [R, K, B]
    const std::int64_t shortlist_size = std::min(view.budget, options.shortlist_windows * view.window);
    // The size is the same for every row, whatever is protected, so that samples do not depend on other rows.
    const torch::Tensor shortlist = highest_unprotected(view, scores, shortlist_size);  // [R, K, M]
    const torch::Tensor protected_ones = protected_candidates(view);                    // [R, 1, B]
    const torch::Tensor closed =
        protected_ones.defined() ? protected_ones.expand_as(scores).gather(2, shortlist) : protected_ones;
    const torch::Tensor logits = open_logits(scores.gather(2, shortlist) / options.temperature, closed);
    const torch::Tensor draws = draw(view, logits);
    torch::Tensor evicted = shortlist.gather(2, draws);
    if (!consume) return evicted;
    if (options.likelihood == Likelihood::kIndependent) {
      consume(view, {candidates.features(), open_logits(scores / options.temperature, protected_ones),
                     evicted, protected_ones});
    } else {
      consume(view, {candidates.features_of(shortlist), logits, draws, closed});
    }
    return evicted;
  };
}

torch::Tensor choice_log_likelihood(const torch::Tensor& logits, const torch::Tensor& draws,
                                    Likelihood likelihood) {
  if (likelihood == Likelihood::kIndependent) return independent_log_likelihood(logits, draws);
  return plackett_luce_log_likelihood(logits, draws).mean(-1);
}

torch::Tensor choice_logits(const Scorer& scorer, std::int64_t layer, const PolicyChoice& choice,
                            const PolicyOptions& options) {
  return open_logits(scorer.score(layer, choice.features) / options.temperature, choice.closed);
}

}  // namespace foresight
