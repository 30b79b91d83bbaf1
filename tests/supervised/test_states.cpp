// States of recorded traces, streamed and cached, and the ranking gradient they give.
#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <numeric>
#include <set>

#include "golden_eviction/recorded_plan.h"
#include "tests/comm/world_of_threads.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/scorer/gradients.h"
#include "tests/supervised/mean_ranking_loss.h"
#include "tests/supervised/recorded.h"
#include "trainer/base/error.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/eviction_samples.h"
#include "trainer/supervised/normalisation.h"
#include "trainer/supervised/ranking_gradient.h"
#include "trainer/supervised/ranking_loss.h"
#include "trainer/supervised/streamed_states.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// The states of all evictions of a trace, from a replay that is driven by hand: features [layer][step] and
/// oracle scores, straight from the view and the plan.
struct PlainStates {
  std::vector<std::vector<torch::Tensor>> features, oracle;  // [K, B, F] and [K, B]
};

PlainStates plain_states(const Recorded& recorded, const RecordedTrace& trace) {
  const auto layers = static_cast<std::size_t>(recorded.model.shape().layers);
  PlainStates states{std::vector<std::vector<torch::Tensor>>(layers),
                     std::vector<std::vector<torch::Tensor>>(layers)};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const torch::Tensor contribution =
        golden_plan_of(OracleReader(trace.file), static_cast<std::int64_t>(layer), kSize).contribution;
    for (std::int64_t step = 0; step < contribution.size(1); ++step)
      states.oracle[layer].push_back(-contribution.select(1, step));
  }
  const EvictionSelector golden = golden_selector({golden_evictions(trace, kSize)});
  evicted_losses(recorded.model, trace.tokens.unsqueeze(0), kSize, 1, [&](const EvictionView& view) {
    states.features[static_cast<std::size_t>(view.layer)].push_back(
        candidate_features(view, recorded.features)[0]);
    return golden(view);
  });
  return states;
}

torch::Tensor gradient_of(const StateSource& states, const Scorer& scorer, std::int64_t trace,
                          const std::vector<std::int64_t>& evictions) {
  RankingGradient gradient(scorer, 0.01, PairWeight::kGap, kSize.window);
  states.visit(trace, evictions, [&](const RankedStates& some) { gradient.add(some, "test"); });
  gradient.finish(0.7);
  return take_gradient(scorer);
}

}  // namespace

TEST_CASE("states: streamed and cached ones give the gradient of stored features", "[supervised]") {
  Recorded recorded;
  ScorerFacts facts;
  facts.features = recorded.features =
      GENERATE(ScorerFeatures::kNormalized, ScorerFeatures::kExtended, ScorerFeatures::kRelative);
  const Scorer scorer = Scorer::random(recorded.model.shape(), facts, RandomStream(3, "test"));
  const CachedStates cached = recorded.cached(recorded.streamed().evictions());
  for (std::int64_t trace = 0; trace < 3; ++trace) {
    const RecordedTrace& of = recorded.traces[static_cast<std::size_t>(trace)];
    const std::vector<std::int64_t> evictions = {kSize.steps(of.length()) - 1, 0, 1};  // in the order drawn
    const PlainStates plain = plain_states(recorded, of);
    for (std::size_t layer = 0; layer < 2; ++layer) {
      std::vector<torch::Tensor> features, oracle;
      for (const std::int64_t step : evictions) {
        features.push_back(plain.features[layer][static_cast<std::size_t>(step)]);
        oracle.push_back(plain.oracle[layer][static_cast<std::size_t>(step)]);
      }
      const torch::Tensor scores =
          scorer.score(static_cast<std::int64_t>(layer), torch::stack(features)).flatten(0, 1);
      (pairwise_ranking_loss(scores, torch::stack(oracle).flatten(0, 1), 0.01, PairWeight::kGap) * (0.7 / 2))
          .backward();
    }
    const torch::Tensor expected = take_gradient(scorer);
    REQUIRE(expected.norm().item<double>() > 1e-6);
    CHECK(relative_difference(gradient_of(recorded.streamed(), scorer, trace, evictions), expected) < 1e-5);
    // Stored features are float16: 11 bits.
    CHECK(relative_difference(gradient_of(cached, scorer, trace, evictions), expected) < 5e-3);
  }
}

TEST_CASE("states: a cached one is the streamed one in float16, its keys and values stored once",
          "[supervised]") {
  Recorded recorded;
  recorded.features =
      GENERATE(ScorerFeatures::kNormalized, ScorerFeatures::kExtended, ScorerFeatures::kRelative);
  const std::vector<std::vector<std::int64_t>> some = {{1, 3}, {0}, {0, 2}};
  const CachedStates cached = recorded.cached(some);
  CHECK(cached.evictions() == some);
  std::map<std::pair<std::int64_t, std::int64_t>, RankedStates> streamed;  // by layer and eviction
  recorded.streamed().visit(0, some[0], [&](const RankedStates& states) {
    REQUIRE(states.evictions.size() == 1);
    streamed.emplace(std::pair(states.layer, states.evictions[0]), states);
  });
  std::int64_t found = 0;
  cached.visit(0, {3, 1}, [&](const RankedStates& states) {
    for (std::size_t i = 0; i < states.evictions.size(); ++i) {
      const RankedStates& other = streamed.at({states.layer, states.evictions[i]});
      const auto n = static_cast<std::int64_t>(i);
      // If other rows are replayed with it, a statistic may differ in its last bit of float32 and round to
      // the neighbouring float16: one unit of its 11 bits, 2^-24 for subnormal numbers.
      const torch::Tensor expected = other.features[0].to(torch::kFloat16).to(torch::kFloat32);
      const torch::Tensor off = (states.features[n] - expected).abs();
      const std::int64_t d = recorded.model.shape().head_dimension;
      // A key that was rounded before it was turned: one unit of the longer of a pair.
      const bool turned = recorded.features == ScorerFeatures::kRelative;
      const torch::Tensor keys = expected.narrow(-1, 0, d).unflatten(-1, {2, d / 2});
      const torch::Tensor lengths = keys.norm(2, -2, true).expand_as(keys).flatten(-2);
      const torch::Tensor magnitude =
          turned ? torch::cat({lengths, expected.narrow(-1, d, expected.size(-1) - d)}, -1) : expected;
      CHECK((off <= magnitude.abs() * 0x1p-10 + 0x1p-24).all().item<bool>());
      const torch::Tensor kept = turned ? off.narrow(-1, d, off.size(-1) - d) : off;
      CHECK((kept > 0).to(torch::kFloat64).mean().item<double>() < 0.01);
      CHECK(torch::equal(states.oracle[n], other.oracle[0]));
      ++found;
    }
  });
  CHECK(found == 4);
  const SafetensorsFile file(recorded.folder.path() / "states/train-0.safetensors");
  // Positions that candidates of step 3 can have: 16 + 4 * 8 seen, less the newest 8.
  CHECK(file.at("entries").shape ==
        std::vector<std::int64_t>{2, 2, 40, 2 * recorded.model.shape().head_dimension});
  CHECK(static_cast<double>(std::filesystem::file_size(file.path())) ==
        Approx(cached_bytes(recorded.model.shape(), recorded.features, kSize, 2, 3)).epsilon(0.1));
}

TEST_CASE("states: a cache is kept for the same evictions and rebuilt for others", "[supervised]") {
  const Recorded recorded;
  const auto time = [&] {
    return std::filesystem::last_write_time(recorded.folder.path() / "states/train-0.safetensors");
  };
  recorded.cached({{1}, {0}, {0}});
  const auto made = time();
  recorded.cached({{1}, {0}, {0}});
  CHECK(time() == made);
  recorded.cached({{1, 2}, {0}, {0}});
  CHECK(time() != made);
  for (const auto& entry : std::filesystem::directory_iterator(recorded.folder.path() / "states"))
    CHECK(entry.path().extension() == ".safetensors");
}

TEST_CASE("states: as many evictions of each trace as the limit holds, spread over it", "[supervised]") {
  const Recorded recorded;
  const ModelShape& shape = recorded.model.shape();
  const std::vector<std::int64_t> lengths = {1000, 1000, 100};
  const auto cached = [&](double bytes, std::int64_t least) {
    return cached_evictions(lengths, shape, recorded.features, recorded.sizes, bytes, least, 1);
  };
  const auto all = cached(1e9, 24);
  REQUIRE(all);
  CHECK((*all)[0].size() == static_cast<std::size_t>(kSize.steps(1000)));
  CHECK((*all)[2].size() == static_cast<std::size_t>(kSize.steps(100)));
  const double whole =
      2 * cached_bytes(shape, recorded.features, kSize, kSize.steps(1000), kSize.steps(1000) - 1) +
      cached_bytes(shape, recorded.features, kSize, kSize.steps(100), kSize.steps(100) - 1);
  CHECK(*cached(whole, 24) == *all);
  const auto some = cached(0.7 * whole, 8);
  REQUIRE(some);
  double bytes = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& steps = (*some)[i];
    const auto count = static_cast<std::int64_t>(steps.size()), possible = kSize.steps(lengths[i]);
    CHECK(count >= std::min<std::int64_t>(8, possible));
    CHECK(std::is_sorted(steps.begin(), steps.end()));
    CHECK(std::set<std::int64_t>(steps.begin(), steps.end()).size() == steps.size());
    for (std::int64_t j = 0; j < count; ++j) {  // one of each equal part
      CHECK(steps[static_cast<std::size_t>(j)] >= j * possible / count);
      CHECK(steps[static_cast<std::size_t>(j)] < (j + 1) * possible / count);
    }
    bytes += cached_bytes(shape, recorded.features, kSize, count, kSize.steps(lengths[i]) - 1);
  }
  CHECK(bytes <= 0.7 * whole);
  CHECK_FALSE(cached(0.1 * whole, 8));
}

TEST_CASE("samples: evictions of a step come from those that are there, none twice", "[supervised]") {
  const std::vector<std::vector<std::int64_t>> available = {{2, 5, 7}, {1}, {0, 3, 4, 9, 11}};
  for (std::int64_t step = 0; step < 20; ++step) {
    const auto samples = samples_of_step(step, 2, 3, available, 7);
    REQUIRE(samples.size() == 2);
    std::int64_t total = 0;
    for (const TraceSample& sample : samples) {
      const auto& own = available[static_cast<std::size_t>(sample.trace)];
      CHECK(sample.evictions.size() == std::min<std::size_t>(3, own.size()));
      CHECK(std::set<std::int64_t>(sample.evictions.begin(), sample.evictions.end()).size() ==
            sample.evictions.size());
      for (const std::int64_t eviction : sample.evictions)
        CHECK(std::count(own.begin(), own.end(), eviction) == 1);
      total += static_cast<std::int64_t>(sample.evictions.size());
    }
    CHECK(evictions_of(samples) == total);
  }
  CHECK(evictions_of(samples_of_step(0, 3, 0, available, 7)) == 9);
}

TEST_CASE("normalisation: moments joined part by part are those of the whole", "[supervised]") {
  torch::manual_seed(5);
  const torch::Tensor samples = torch::randn({2, 90, 7}) * 3 + 1000;  // far from 0: squares would cancel
  FeatureMoments joined;
  for (const auto& [first, count] : {std::pair{0, 1}, {1, 50}, {51, 39}})
    joined.join(FeatureMoments::of(samples.narrow(1, first, count)));
  CHECK(torch::allclose(joined.mean, samples.to(torch::kFloat64).mean(1), 1e-12));
  CHECK(torch::allclose(joined.deviation(), samples.to(torch::kFloat64).std(1, false).to(torch::kFloat32),
                        1e-6));
  CHECK(FeatureMoments::of(torch::ones({1, 4, 2})).deviation().min().item<double>() == Approx(1e-4));

  const Recorded recorded;
  const StreamedStates states = recorded.streamed();
  std::vector<torch::Tensor> features;  // of layer 1, both traces: [K, n, F]
  for (std::size_t trace = 0; trace < 2; ++trace) {
    const PlainStates plain = plain_states(recorded, recorded.traces[trace]);
    features.insert(features.end(), plain.features[1].begin(), plain.features[1].end());
  }
  const torch::Tensor all = torch::cat(features, 1);
  Scorer expected = Scorer::random(recorded.model.shape(), {}, RandomStream(3, "test")),
         found = expected.clone();
  expected.set_normalisation(1, all.mean(1), all.std(1, false).clamp_min(1e-4));
  fit_normalisation(found, states, 2, 2 * recorded.model.shape().head_dimension, alone());
  CHECK(torch::allclose(found.score(1, all.unsqueeze(0)), expected.score(1, all.unsqueeze(0)), 1e-3, 1e-4));
}

TEST_CASE("normalisation: any number of ranks fits the same bytes", "[supervised]") {
  /// Random states in memory, because the ranks of this test are threads and HDF5 is not thread-safe.
  class RandomStates : public StateSource {
   public:
    const std::vector<std::vector<std::int64_t>>& evictions() const override { return evictions_; }
    void visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
               const RankedStatesConsumer& consume) const override {
      torch::Generator generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(trace));
      for (const std::int64_t step : evictions) {
        for (std::int64_t layer = 0; layer < 2; ++layer)
          consume({layer, {step}, torch::randn({1, 2, 16, 2 * 16 + 8}, generator), {}});
      }
    }

   private:
    std::vector<std::vector<std::int64_t>> evictions_ = {{0, 1, 2}, {0}, {0, 1}, {0, 1, 2, 3}};
  };
  ModelShape shape;
  shape.layers = 2;
  shape.query_heads = shape.kv_heads = 2;
  shape.head_dimension = 16;
  const RandomStates states;
  const auto fitted = [&](World& world) {
    Scorer scorer = Scorer::random(shape, {}, RandomStream(3, "test"));
    fit_normalisation(scorer, states, 3, 2 * shape.head_dimension, world);
    return scorer.fingerprint();
  };
  const std::string one = fitted(alone());
  for (const int size : {2, 4}) run_ranks(size, [&](World& world) { return fitted(world) == one; });
}

TEST_CASE("ranking gradient: a score that overflows names layer and eviction", "[supervised]") {
  const Recorded recorded;
  Scorer scorer = Scorer::random(recorded.model.shape(), {}, RandomStream(3, "test"));
  {
    const torch::NoGradGuard no_grad;
    scorer.parameters()[7].fill_(1e30);  // the last bias of layer 1
  }
  RankingGradient gradient(scorer, 0.01, PairWeight::kGap, kSize.window);
  REQUIRE_THROWS_WITH(
      recorded.streamed().visit(0, {2}, [&](const RankedStates& some) { gradient.add(some, "here"); }),
      Catch::Contains("here: a score of layer 1") && Catch::Contains("at eviction 2"));
}
