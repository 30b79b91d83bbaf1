#include "trainer/scorer/entry_scores.h"

#include <torch/utils.h>

#include <memory>

#include "trainer/eviction/entries.h"
#include "trainer/eviction/gpu_entries.h"
#include "trainer/eviction/protection.h"
#include "trainer/kernels/launch.h"
#include "trainer/scorer/candidate_features.h"

namespace foresight {
namespace {

/// Whether the kernels read features of `kind` from this view.
bool suits_gpu(const EvictionView& view, ScorerFeatures kind) {
  const auto packed = [](const torch::Tensor& values) { return values.defined() && values.is_contiguous(); };
  const bool known = kind == ScorerFeatures::kNormalized || kind == ScorerFeatures::kReleased;
  return known && kernels::has_gpu_kernels(view.keys.device()) && packed(view.keys) && packed(view.values) &&
         packed(view.window_statistics) && packed(view.cumulative) && packed(view.decayed);
}

}  // namespace

Candidates::Candidates(const Scorer& scorer, const EvictionView& view) : scorer_(&scorer), view_(&view) {
  const torch::NoGradGuard no_grad;
  if (!suits_gpu(view, scorer.facts().features) || !scorer.suits_gpu(view.keys.device()))
    features_ = candidate_features(view, scorer.facts().features);
}

torch::Tensor Candidates::scores() const {
  const torch::NoGradGuard no_grad;
  if (features_.defined()) return scorer_->score(view_->layer, features_);
  return scorer_->score_on_gpu(view_->layer, describe_features(*view_, scorer_->facts().features, {}), {});
}

torch::Tensor Candidates::features() const {
  const torch::NoGradGuard no_grad;
  return features_.defined() ? features_ : candidate_features(*view_, scorer_->facts().features);
}

torch::Tensor Candidates::features_of(const torch::Tensor& chosen) const {
  const torch::NoGradGuard no_grad;
  if (features_.defined()) return select_entries(features_, chosen);
  const torch::Tensor entries = chosen.contiguous();
  kernels::GatherWork work;
  work.of = describe_features(*view_, scorer_->facts().features, entries);
  torch::Tensor features = torch::empty({work.of.rows, work.of.kv_heads, work.of.entries, work.of.inputs},
                                        view_->cumulative.options());
  work.features = features.mutable_data_ptr<float>();
  kernels::launch(work, features.device());
  return features;
}

EvictionSelector scorer_selector(const Scorer& scorer) {
  const auto copy = std::make_shared<Scorer>(scorer.clone());
  return [copy](const EvictionView& view) {
    if (copy->device() != view.keys.device()) *copy = copy->to(view.keys.device());
    return evict_highest(view, Candidates(*copy, view).scores());
  };
}

}  // namespace foresight
