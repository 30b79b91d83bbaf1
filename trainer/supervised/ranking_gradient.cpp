#include "trainer/supervised/ranking_gradient.h"

#include <torch/utils.h>

#include <algorithm>
#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/ranking_loss.h"

namespace foresight {
namespace {

/// A score this large is on its way to overflow, and no ranking needs it.
constexpr double kLargestScore = 1e18;

/// The first of the states with a score that is not finite or too large; `scores` is [n K, B].
std::optional<std::size_t> first_wild_state(const torch::Tensor& scores, std::int64_t heads) {
  const torch::Tensor tame = (scores.detach().abs() < kLargestScore).all(1);  // NaN compares false
  if (tame.all().item<bool>()) return std::nullopt;
  return static_cast<std::size_t>(tame.logical_not().nonzero()[0].item<std::int64_t>() / heads);
}

}  // namespace

RankingGradient::RankingGradient(const Scorer& scorer, double margin, PairWeight pair_weight,
                                 std::int64_t window)
    : scorer_(&scorer),
      margin_(margin),
      pair_weight_(pair_weight),
      window_(window),
      layers_(static_cast<std::size_t>(scorer.layers())) {}

void RankingGradient::add(const RankedStates& states, const std::string& where) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor features = to_device(states.features, scorer_->device());
  const torch::Tensor by_state = scorer_->score(states.layer, features);  // [n, K, B]
  const torch::Tensor scores = by_state.flatten(0, 1);
  if (const auto state = first_wild_state(scores, states.features.size(1))) {
    throw Error(ErrorKind::kNumeric, concat(where, ": a score of layer ", scorer_->layer_number(states.layer),
                                            " is not finite, or beyond ", kLargestScore, ", at eviction ",
                                            states.evictions[*state],
                                            "; the last checkpoint is kept: lower supervised.learning_rate"));
  }
  const torch::Tensor target = to_device(states.oracle.flatten(0, 1), scorer_->device());
  const RankingRows rows = pairwise_ranking_rows(scores, target, margin_, pair_weight_);
  const torch::Tensor gradients =
      scorer_->row_gradients(states.layer, features, {rows.gradient.view(by_state.sizes())})[0];  // [n, P]
  Scorer learner = *scorer_;  // shares the weights
  learner.add_layer_gradient(states.layer, gradients.sum(0));
  Layer& layer = layers_.at(static_cast<std::size_t>(states.layer));
  layer.loss += rows.losses.sum().item<double>();
  layer.pair_rows += rows.has_pair.sum().item<std::int64_t>();
  layer.overlap += top_overlap(scores, target, window_).sum().item<double>();
  layer.rows += scores.size(0);
}

RankingFigures RankingGradient::finish(double weight) {
  const torch::NoGradGuard no_grad;
  const double layer_weight = weight / static_cast<double>(layers_.size());
  const std::vector<torch::Tensor> parameters = scorer_->parameters();
  const std::size_t per_layer = parameters.size() / layers_.size();
  RankingFigures figures;
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    const Layer& layer = layers_[index];
    const double share = layer_weight / static_cast<double>(std::max<std::int64_t>(layer.pair_rows, 1));
    for (std::size_t i = index * per_layer; i < (index + 1) * per_layer; ++i) {
      torch::Tensor gradient = parameters[i].grad();
      if (gradient.defined()) gradient.mul_(share);
    }
    figures.loss += share * layer.loss;
    figures.overlap +=
        layer_weight * layer.overlap / static_cast<double>(std::max<std::int64_t>(layer.rows, 1));
  }
  return figures;
}

}  // namespace foresight
