#include "rl/policy_choice.h"

#include <algorithm>

#include "rl/policy_terms.h"
#include "trainer/eviction/rule_policies.h"

namespace foresight {

EvictionSelector policy_selector(const Scorer& policy, const PolicyOptions& options, DrawSource draw,
                                 ChoiceConsumer consume) {
  return [policy, options, draw = std::move(draw), consume = std::move(consume)](const EvictionView& view) {
    const torch::Tensor features = candidate_features(view, policy.facts().features);  // [R, K, B, F]
    const torch::Tensor scores = policy.score(view.layer, features);                   // [R, K, B]
    const std::int64_t shortlist_size = std::min(view.budget, options.shortlist_windows * view.window);
    const torch::Tensor shortlist = highest_entries(scores, shortlist_size);  // [R, K, M]
    const torch::Tensor logits = scores.gather(2, shortlist) / options.temperature;
    const torch::Tensor draws = draw(view, logits);
    torch::Tensor evicted = shortlist.gather(2, draws);
    if (!consume) return evicted;
    if (options.likelihood == Likelihood::kIndependent) {
      consume(view, {features, scores / options.temperature, evicted});
    } else {
      const torch::Tensor index = shortlist.unsqueeze(-1).expand({-1, -1, -1, features.size(3)});
      consume(view, {features.gather(2, index), logits, draws});
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
  return scorer.score(layer, choice.features) / options.temperature;
}

}  // namespace foresight
