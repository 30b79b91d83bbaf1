// States as a replay passes them: nothing is stored, whatever the traces' length.
#pragma once

#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/config/choices.h"
#include "trainer/model/transformer.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/state_source.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Every visit replays the trace, as far as the last eviction that is asked for. What is held is a cache and
/// what the oracle says of each position at the evictions that were asked for.
class StreamedStates : public StateSource {
 public:
  /// Model and traces must outlive it. `sizes`: of the cache for each trace. `on_tokens` (optional) is told
  /// the tokens done.
  StreamedStates(const Transformer& model, const std::vector<RecordedTrace>& traces,
                 std::vector<CacheSize> sizes, ScorerFeatures features, Behaviour behaviour,
                 std::function<void(std::int64_t)> on_tokens = {});

  const std::vector<std::vector<std::int64_t>>& evictions() const override { return evictions_; }
  void visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
             const RankedStatesConsumer& consume) const override;

 private:
  const Transformer* model_;
  const std::vector<RecordedTrace>* traces_;
  std::vector<CacheSize> sizes_;  // by trace
  ScorerFeatures features_;
  Behaviour behaviour_;
  std::function<void(std::int64_t)> on_tokens_;
  std::vector<std::vector<std::int64_t>> evictions_;
};

}  // namespace foresight
