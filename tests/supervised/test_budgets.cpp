// Training at several budgets: which trace or step gets which budget, and golden states at that budget.
#include <torch/types.h>

#include <map>

#include "golden_eviction/recorded_plan.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/supervised/recorded.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/supervised/rounds.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("budgets: those that leave a trace an eviction take turns") {
  const std::vector<std::int64_t> budgets{16, 24, 40};
  std::vector<std::int64_t> long_trace, short_trace;
  for (std::int64_t turn = 0; turn < 5; ++turn) {
    long_trace.push_back(size_of_turn(kSize, budgets, 61, turn).budget);
    short_trace.push_back(size_of_turn(kSize, budgets, 48, turn).budget);  // 40 + 8 entries hold it whole
  }
  CHECK(long_trace == std::vector<std::int64_t>{16, 24, 40, 16, 24});
  CHECK(short_trace == std::vector<std::int64_t>{16, 24, 16, 24, 16});
  CHECK(size_of_turn(kSize, {}, 61, 3) == kSize);
  CHECK(size_of_turn(kSize, {40}, 48, 3) == kSize);  // none fits
  CHECK(largest_size(kSize, budgets).entries() == 48);
  CHECK(largest_size(kSize, {}) == kSize);
}

TEST_CASE("budgets: neighbouring traces differ, and so does a trace from round to round") {
  Config config;
  config.eviction = kSize;
  config.supervised.budgets = {16, 24};
  const auto of_round = [&](std::int64_t round) {
    std::vector<std::int64_t> budgets;
    for (const CacheSize& size : sizes_of_round(config, {61, 61, 48}, round)) {
      CHECK(size.window == kSize.window);
      budgets.push_back(size.budget);
    }
    return budgets;
  };
  CHECK(of_round(0) == std::vector<std::int64_t>{16, 24, 16});
  CHECK(of_round(1) == std::vector<std::int64_t>{24, 16, 24});
}

TEST_CASE("budgets: each trace's golden states are those of its own cache size", "[supervised]") {
  Recorded recorded;
  recorded.sizes = {kSize, kSize.with_budget(24), kSize.with_budget(32)};
  const StreamedStates streamed = recorded.streamed();
  const CachedStates cached = recorded.cached(streamed.evictions());
  for (std::int64_t trace = 0; trace < 3; ++trace) {
    const auto& all = streamed.evictions()[static_cast<std::size_t>(trace)];
    const CacheSize& size = recorded.sizes[static_cast<std::size_t>(trace)];
    REQUIRE(static_cast<std::int64_t>(all.size()) == size.steps(trace == 2 ? 48 : 61));
    // By hand: what a pass that follows the golden plan of this size alone shows.
    std::map<std::pair<std::int64_t, std::int64_t>, torch::Tensor> expected;
    const RecordedTrace& recording = recorded.traces[static_cast<std::size_t>(trace)];
    const EvictionSelector golden = golden_selector({golden_evictions(recording, size)});
    evicted_losses(recorded.model, recording.tokens.unsqueeze(0), size, 1, [&](const EvictionView& view) {
      expected[{view.layer, view.step}] = candidate_features(view, ScorerFeatures::kNormalized)[0].clone();
      return golden(view);
    });
    for (const StateSource* source :
         {static_cast<const StateSource*>(&streamed), static_cast<const StateSource*>(&cached)}) {
      std::int64_t seen = 0;
      source->visit(trace, all, [&](const RankedStates& states) {
        for (std::size_t i = 0; i < states.evictions.size(); ++i) {
          const torch::Tensor features = states.features[static_cast<std::int64_t>(i)];
          CHECK(features.size(1) == size.budget);
          CHECK(same_but_for_storing(features, expected.at({states.layer, states.evictions[i]})));
          ++seen;
        }
      });
      CHECK(seen == 2 * size.steps(recording.length()));
    }
  }
}
