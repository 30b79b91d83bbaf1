#include "trainer/supervised/streamed_states.h"

#include <algorithm>

#include "golden_eviction/recorded_plan.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/eviction_samples.h"

namespace foresight {

StreamedStates::StreamedStates(const Transformer& model, const std::vector<RecordedTrace>& traces,
                               const CacheSize& size, ScorerFeatures features,
                               std::function<void(std::int64_t)> on_tokens)
    : model_(&model), traces_(&traces), size_(size), features_(features), on_tokens_(std::move(on_tokens)) {
  for (const RecordedTrace& trace : traces) {
    const std::int64_t steps = size.steps(trace.length());
    evictions_.push_back(spread_evictions(steps, steps, 0, 0));
  }
}

void StreamedStates::visit(std::int64_t index, const std::vector<std::int64_t>& evictions,
                           const RankedStatesConsumer& consume) const {
  if (evictions.empty()) return;
  const RecordedTrace& trace = traces_->at(static_cast<std::size_t>(index));
  const std::int64_t last = *std::max_element(evictions.begin(), evictions.end());
  const OracleReader reader(trace.file);
  RecordedEvictions plan;
  std::vector<torch::Tensor> oracle;  // by layer: [n, K, B]
  for (std::int64_t layer = 0; layer < trace.dimensions.layers; ++layer) {
    const GoldenPlan golden = golden_plan_of(reader, layer, size_);
    plan.push_back(golden.evicted);
    oracle.push_back(oracle_scores(golden, evictions));
  }
  const EvictionSelector follow = golden_selector({std::move(plan)});
  const EvictionSelector show = [&](const EvictionView& view) {
    const auto found = std::find(evictions.begin(), evictions.end(), view.step);
    if (found != evictions.end()) {
      const torch::Tensor labels = oracle[static_cast<std::size_t>(view.layer)][found - evictions.begin()];
      consume({.layer = view.layer,
               .evictions = {view.step},
               .features = candidate_features(view, features_),
               .oracle = labels.unsqueeze(0)});
    }
    return follow(view);
  };
  replay_evictions(*model_, trace.tokens.unsqueeze(0), size_, /*copies=*/1, last + 1, show, on_tokens_);
}

}  // namespace foresight
