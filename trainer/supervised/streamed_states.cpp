#include "trainer/supervised/streamed_states.h"

#include <algorithm>

#include "golden_eviction/recorded_plan.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/protection.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/eviction_samples.h"

namespace foresight {

StreamedStates::StreamedStates(const Transformer& model, const std::vector<RecordedTrace>& traces,
                               std::vector<CacheSize> sizes, ScorerFeatures features, Behaviour behaviour,
                               std::function<void(std::int64_t)> on_tokens)
    : model_(&model),
      traces_(&traces),
      sizes_(std::move(sizes)),
      features_(features),
      behaviour_(std::move(behaviour)),
      on_tokens_(std::move(on_tokens)) {
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const std::int64_t steps = sizes_.at(i).steps(traces[i].length());
    evictions_.push_back(spread_evictions(steps, steps, 0, 0));
  }
}

void StreamedStates::visit(std::int64_t index, const std::vector<std::int64_t>& evictions,
                           const RankedStatesConsumer& consume) const {
  if (evictions.empty()) return;
  const RecordedTrace& trace = traces_->at(static_cast<std::size_t>(index));
  const CacheSize& size = sizes_.at(static_cast<std::size_t>(index));
  const std::int64_t last = *std::max_element(evictions.begin(), evictions.end());
  const OracleReader reader(trace.file);
  const EvictionSelector follow = behaviour_.selector({&trace}, size);
  const EvictionSelector show = [&](const EvictionView& view) {
    if (std::find(evictions.begin(), evictions.end(), view.step) != evictions.end()) {
      const torch::Tensor candidates = view.positions[0].narrow(1, 0, size.budget).to(torch::kCPU);
      // Read here and not before the replay, as all layers' contributions would grow with the trace.
      const torch::Tensor contribution = recorded_contribution(reader, view.layer, size, {view.step})[0];
      const torch::Tensor labels = oracle_scores(contribution, candidates);
      consume({.layer = view.layer,
               .evictions = {view.step},
               .features = candidate_features(view, features_).slice(2, most_protected(view)),
               .oracle = labels.slice(1, most_protected(view)).unsqueeze(0)});
    }
    return follow(view);
  };
  replay_evictions(*model_, stacked_tokens({&trace}), size, /*copies=*/1, last + 1, show, on_tokens_);
}

}  // namespace foresight
