#include "trainer/supervised/behaviour.h"
#include "trainer/scorer/entry_scores.h"

#include "golden_eviction/recorded_plan.h"
#include "trainer/base/text.h"

namespace foresight {

Behaviour golden_behaviour() {
  return {"golden", [](const std::vector<const RecordedTrace*>& traces, const CacheSize& size) {
            return golden_selector(golden_evictions(traces, size));
          }};
}

Behaviour scorer_behaviour(const Scorer& scorer) {
  return {concat("scorer ", scorer.fingerprint()),
          [&scorer](const std::vector<const RecordedTrace*>& /*traces*/, const CacheSize& /*size*/) {
            return scorer_selector(scorer);
          }};
}

}  // namespace foresight
