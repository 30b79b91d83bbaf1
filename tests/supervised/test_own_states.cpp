// States that the scorer's own evictions lead to, and the rounds that learn from them.
#include <torch/types.h>

#include <map>
#include <numeric>

#include "golden_eviction/future_attention.h"
#include "golden_eviction/recorded_plan.h"
#include "tests/data/whole_layer.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/supervised/recorded.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/supervised/rounds.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("own states: what the scorer's evictions lead to, with what the recorded attention says of it",
          "[supervised]") {
  Recorded recorded;
  const CacheSize size = kSize.with_budget(GENERATE(16, 24));
  recorded.sizes[2] = size;  // the others stay at 16
  const Scorer scorer = Scorer::random(recorded.model.shape(), {}, RandomStream(8, "test"));
  const RecordedTrace& trace = recorded.traces[2];
  const std::int64_t heads = recorded.model.shape().kv_heads, steps = size.steps(trace.length());
  // By hand: the scorer evicts, and a candidate's label is the largest attention of a later window.
  std::map<std::pair<std::int64_t, std::int64_t>, std::pair<torch::Tensor, torch::Tensor>> expected;
  const OracleReader reader(trace.file);
  std::int64_t unlike_golden = 0;
  const EvictionSelector golden = golden_selector({golden_evictions(trace, size)});
  evicted_losses(recorded.model, trace.tokens.unsqueeze(0), size, 1, [&](const EvictionView& view) {
    std::vector<std::uint16_t> bits = whole_layer(reader, view.layer);
    const torch::Tensor packed =
        torch::from_blob(bits.data(), {heads, reader.dimensions().packed_elements()}, torch::kFloat16);
    const std::int64_t windows = (trace.length() + size.window - 1) / size.window;
    const torch::Tensor attention = unpack_windows(packed, reader.dimensions(), size.window, 0, windows);
    torch::Tensor labels = torch::zeros({heads, size.budget});
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t i = 0; i < size.budget; ++i) {
        const auto position = view.positions[0][head][i].item<std::int64_t>();
        const std::int64_t next = (size.budget + (view.step + 1) * size.window) / size.window;
        labels[head][i] = -attention[head].narrow(0, next, windows - next).select(1, position).max();
      }
    }
    const torch::Tensor features = candidate_features(view, ScorerFeatures::kNormalized);
    expected[{view.layer, view.step}] = {features[0].clone(), labels};
    const torch::Tensor scores = scorer.score(view.layer, features).detach();  // [1, K, B]
    const torch::Tensor chosen = std::get<1>(scores.sort(/*stable=*/true, -1, /*descending=*/true));
    if (view.step == 0) unlike_golden += chosen.narrow(2, 0, size.window).ne(golden(view)).sum().item<int>();
    return chosen.narrow(2, 0, size.window).contiguous();
  });
  CHECK(unlike_golden > 0);  // golden states would not do

  std::vector<std::int64_t> all(static_cast<std::size_t>(steps));
  std::iota(all.begin(), all.end(), 0);
  std::int64_t seen = 0;
  recorded.streamed_under(scorer).visit(2, all, [&](const RankedStates& states) {
    const auto& [features, labels] = expected.at({states.layer, states.evictions[0]});
    CHECK(torch::equal(states.features[0], features));
    CHECK(torch::equal(states.oracle[0], labels));
    ++seen;
  });
  CHECK(seen == 2 * steps);
  const CachedStates cached = recorded.cached_under(scorer_behaviour(scorer), {{0}, {0}, all});
  cached.visit(2, all, [&](const RankedStates& states) {
    for (std::size_t i = 0; i < states.evictions.size(); ++i) {
      const auto& [features, labels] = expected.at({states.layer, states.evictions[i]});
      const auto n = static_cast<std::int64_t>(i);
      CHECK(same_but_for_storing(states.features[n], features));
      CHECK(torch::equal(states.oracle[n], labels));
    }
  });
}

TEST_CASE(
    "own states: streamed ones follow the scorer as it changes, stored ones belong to the one that made them",
    "[supervised]") {
  const Recorded recorded;
  Scorer scorer = Scorer::random(recorded.model.shape(), {}, RandomStream(8, "test"));
  const StreamedStates streamed = recorded.streamed_under(scorer);
  const auto features_of = [&](const StateSource& states) {
    torch::Tensor last;
    states.visit(0, {3}, [&](const RankedStates& some) { last = some.features.clone(); });
    return last;
  };
  const torch::Tensor before = features_of(streamed);
  CHECK(torch::equal(features_of(streamed), before));
  recorded.cached_under(scorer_behaviour(scorer), {{3}, {0}, {0}});
  const auto stored = SafetensorsFile(recorded.folder.path() / "states/train-0.safetensors").metadata();
  CHECK(stored.at("behaviour") == "scorer " + scorer.fingerprint());
  {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor weights : scorer.parameters()) weights.neg_();
  }
  CHECK_FALSE(torch::equal(features_of(streamed), before));
  const CachedStates anew = recorded.cached_under(scorer_behaviour(scorer), {{3}, {0}, {0}});
  CHECK(same_but_for_storing(features_of(anew), features_of(streamed)));
}

TEST_CASE("own states: protected entries are not ranked, whether streamed or stored", "[supervised]") {
  Recorded recorded;
  recorded.traces[0].completion.narrow(0, 0, 5).fill_(false);
  CacheSize size = kSize;
  size.protect_sinks = 2;
  size.protect_prompt = true;
  const Scorer scorer = Scorer::random(recorded.model.shape(), {}, RandomStream(8, "test"));
  for (const Behaviour& behaviour : {golden_behaviour(), scorer_behaviour(scorer)}) {
    const StreamedStates streamed(recorded.model, recorded.traces, {size, size, size},
                                  ScorerFeatures::kNormalized, behaviour);
    const CachedStates cached(recorded.folder.path() / "states", recorded.model, recorded.traces,
                              {size, size, size}, ScorerFeatures::kNormalized, behaviour, {{3}, {3}, {0}},
                              alone());
    for (const auto& [trace, open] : {std::pair{0, 16 - 5}, std::pair{1, 16 - 2}}) {
      std::map<std::int64_t, RankedStates> seen;
      streamed.visit(trace, {3}, [&](const RankedStates& some) { seen[some.layer] = some; });
      cached.visit(trace, {3}, [&](const RankedStates& some) {
        CHECK(some.oracle.size(2) == open);
        const torch::Tensor expected = seen.at(some.layer).features;
        CHECK(torch::equal(some.oracle, seen.at(some.layer).oracle));
        CHECK(same_but_for_storing(some.features, expected));
      });
      CHECK(seen.size() == 2);
    }
  }
}

TEST_CASE("rounds: the golden one and those on own states share the steps, and each warms up and decays") {
  SupervisedConfig stage;
  stage.steps = 10;
  stage.rounds = 2;
  stage.warmup_steps = 1;
  std::vector<std::int64_t> rounds, first_steps;
  std::int64_t counted = 0;
  for (std::int64_t step = 0; step < stage.steps; ++step) {
    const Round round = round_of_step(stage, step);
    CHECK(round.first_step <= step);
    CHECK(step < round.first_step + round.steps);
    if (round.first_step == step) counted += round.steps;
    rounds.push_back(round.index);
  }
  CHECK(counted == stage.steps);
  CHECK(rounds == std::vector<std::int64_t>{0, 0, 0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(learning_rate_of_step(stage, 0) == stage.learning_rate);
  CHECK(learning_rate_of_step(stage, 3) < stage.learning_rate);
  CHECK(learning_rate_of_step(stage, 4) == stage.own_learning_rate);
  CHECK(learning_rate_of_step(stage, 7) == stage.own_learning_rate);
  stage.states = TrainingStates::kBoth;  // the same rounds
  for (std::int64_t step = 0; step < stage.steps; ++step)
    CHECK(round_of_step(stage, step).index == rounds.at(static_cast<std::size_t>(step)));
  stage.steps = 1;  // too few for all rounds
  CHECK(round_of_step(stage, 0).index == 0);
  stage.states = TrainingStates::kGolden;
  for (std::int64_t step = 0; step < stage.steps; ++step) CHECK(round_of_step(stage, step).index == 0);
}
