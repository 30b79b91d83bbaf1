#include "trainer/scorer/entry_scores.h"

#include <torch/utils.h>

#include <memory>

#include "trainer/eviction/entries.h"
#include "trainer/eviction/protection.h"
#include "trainer/scorer/candidate_features.h"

namespace foresight {
Candidates::Candidates(const Scorer& scorer, const EvictionView& view) : scorer_(&scorer), view_(&view) {
  if (!is_readable(view, scorer.facts().features) || scorer.device() != view.keys.device())
    features_ = candidate_features(view, scorer.facts().features);
}

torch::Tensor Candidates::scores() const {
  const torch::NoGradGuard no_grad;
  if (features_.defined()) return scorer_->score(view_->layer, features_);
  return scorer_->score_entries(view_->layer, describe_features(*view_, scorer_->facts().features, {}), {});
}

torch::Tensor Candidates::features() const {
  return features_.defined() ? features_ : candidate_features(*view_, scorer_->facts().features);
}

torch::Tensor Candidates::features_of(const torch::Tensor& chosen) const {
  if (features_.defined()) return select_entries(features_, chosen);
  return features_of_entries(*view_, scorer_->facts().features, chosen);
}

EvictionSelector scorer_selector(const Scorer& scorer) {
  const auto copy = std::make_shared<Scorer>(scorer.clone());
  return [copy](const EvictionView& view) {
    if (copy->device() != view.keys.device()) *copy = copy->to(view.keys.device());
    return evict_highest(view, Candidates(*copy, view).scores());
  };
}

}  // namespace foresight
