// A scorer's layer on a CPU, by each instruction set of this machine, compared with torch's operators.
#include "trainer/kernels/scorer_layer.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "tests/kernels/cache_case.h"
#include "tests/scorer/gradients.h"
#include "trainer/eviction/entries.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/entry_scores.h"
#include "trainer/scorer/scorer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

torch::Tensor scored(const Scorer& scorer, const FeatureWork& of, const torch::Tensor& features,
                     Processor processor) {
  torch::Tensor scores = torch::full({of.rows, of.kv_heads, of.entries}, -1.0);
  ScoreWork work{scorer.layer_weights(0)};
  work.of = of;
  if (features.defined()) work.features = features.const_data_ptr<float>();
  work.scores = scores.mutable_data_ptr<float>();
  score(work, torch::kCPU, processor);
  return scores;
}

torch::Tensor gathered(const FeatureWork& of, Processor processor) {
  torch::Tensor features = torch::full({of.rows, of.kv_heads, of.entries, of.inputs}, -1.0);
  GatherWork work;
  work.of = of;
  work.features = features.mutable_data_ptr<float>();
  gather(work, torch::kCPU, processor);
  return features;
}

/// What a layer with identity normalisation and one KV head makes of `values`, the only input, by one hidden
/// unit.
torch::Tensor gelu_of(const torch::Tensor& values, Processor processor) {
  CacheShape shape{1, 1, 1, 0, 1, 1, 2};
  Scorer scorer = scorer_for(shape, ScorerFeatures::kNormalized);
  auto weights = scorer.parameters();
  const torch::NoGradGuard no_grad;
  scorer.set_normalisation(0, torch::zeros({1, 8}), torch::ones({1, 8}));
  for (torch::Tensor& weight : weights) weight.zero_();
  weights[0][0][0][3] = 1.0;
  weights[2][0][3][0] = 1.0;
  torch::Tensor features = torch::zeros({1, 1, values.size(0), 8});
  features.select(3, 0).copy_(values);
  FeatureWork of;
  of.rows = of.kv_heads = of.group = 1;
  of.entries = values.size(0);
  of.inputs = 8;
  return scored(scorer, of, features, processor).flatten();
}

}  // namespace

TEST_CASE("scorer layer: features and scores of entries are torch's, on every processor") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto kind = GENERATE(ScorerFeatures::kNormalized, ScorerFeatures::kReleased);
  for (const CacheShape& shape : cache_shapes()) {
    const CacheCase cache(shape, type, 8);
    const Scorer scorer = scorer_for(shape, kind);
    const torch::Tensor features =
        foresight::plain::candidate_features(cache.view(shape.budget + shape.window), kind);  // [R, K, B, F]
    const torch::Tensor expected = scorer.score_by_torch(0, features).detach();
    const torch::Tensor chosen = cache.some_candidates((shape.budget + 1) / 2);
    const FeatureWork all = describe_features(cache.view(shape.capacity), kind, {}),
                      some = describe_features(cache.view(shape.capacity), kind, chosen);
    for (const Processor processor : usable_processors()) {
      INFO("budget " << shape.budget << ", d " << shape.width << ", processor "
                     << static_cast<int>(processor));
      CHECK(torch::allclose(gathered(all, processor), features, 1e-6, 1e-6));
      CHECK(torch::allclose(gathered(some, processor), select_entries(features, chosen), 1e-6, 1e-6));
      CHECK(torch::allclose(scored(scorer, all, {}, processor), expected, 1e-4, 1e-5));
      CHECK(torch::allclose(scored(scorer, some, {}, processor), expected.gather(2, chosen), 1e-4, 1e-5));
      CHECK(torch::allclose(scored(scorer, all, features, processor), expected, 1e-4, 1e-5));
    }
  }
}

TEST_CASE("scorer layer: gradients of each row are autograd's, on every processor") {
  for (const CacheShape& shape : cache_shapes()) {
    const CacheCase cache(shape, torch::kFloat32, 3);
    const Scorer scorer = scorer_for(shape, ScorerFeatures::kNormalized);
    const torch::Tensor features = foresight::plain::candidate_features(
        cache.view(shape.budget + shape.window), ScorerFeatures::kNormalized);
    const std::vector<torch::Tensor> deltas = {torch::randn({shape.rows, shape.kv_heads, shape.budget}),
                                               torch::randn({shape.rows, shape.kv_heads, shape.budget})};
    for (const Processor processor : usable_processors()) {
      for (std::size_t kinds = 1; kinds <= 2; ++kinds) {
        std::vector<torch::Tensor> found;
        GradientWork work{scorer.layer_weights(0)};
        work.features = features.const_data_ptr<float>();
        work.rows = shape.rows;
        work.kv_heads = shape.kv_heads;
        work.entries = shape.budget;
        work.inputs = features.size(3);
        for (std::size_t kind = 0; kind < kinds; ++kind) {
          found.push_back(torch::full({shape.rows, work.numbers()}, 9.0));
          work.deltas[kind] = deltas[kind].const_data_ptr<float>();
          work.gradients[kind] = found.back().mutable_data_ptr<float>();
        }
        differentiate(work, processor);
        for (std::size_t kind = 0; kind < kinds; ++kind) {
          for (std::int64_t row = 0; row < shape.rows; ++row) {
            const torch::Tensor score = scorer.score_by_torch(0, features.narrow(0, row, 1));
            (score * deltas[kind].narrow(0, row, 1)).sum().backward();
            INFO("budget " << shape.budget << ", row " << row << ", kind " << kind << " of " << kinds
                           << ", processor " << static_cast<int>(processor));
            CHECK(relative_difference(found[kind][row], take_gradient(scorer)) < 2e-6);
          }
        }
      }
    }
  }
}

TEST_CASE(
    "scorer layer: gelu is the normal distribution's within two units of float32, and keeps what is no "
    "number") {
  const torch::Tensor values =
      torch::cat({torch::linspace(-12.0, 12.0, 4801), torch::tensor({-1e30, 1e30, 0.0})});
  const torch::Tensor exact = torch::gelu(values.to(torch::kFloat64));
  for (const Processor processor : usable_processors()) {
    INFO("processor " << static_cast<int>(processor));
    const torch::Tensor found = gelu_of(values, processor).to(torch::kFloat64);
    CHECK(((found - exact).abs() <= 2.5e-7 * values.abs().to(torch::kFloat64).clamp_min(1e-3))
              .all()
              .item<bool>());
    const torch::Tensor odd =
        gelu_of(torch::tensor({1.0, std::numeric_limits<double>::quiet_NaN(), 2.0}), processor);
    CHECK(torch::isfinite(odd).to(torch::kInt64).equal(torch::tensor({1, 0, 1})));
  }
}

TEST_CASE("scorer layer: statistics from the smallest to whole windows have torch's logarithms") {
  const CacheShape shape{1, 1, 1, 3, 40, 8, 48};
  CacheCase cache(shape, torch::kFloat32, 4);
  cache.cumulative.copy_(torch::pow(10.0, torch::linspace(-12.0, 4.0, shape.capacity)).view({1, 1, 1, -1}));
  cache.cumulative.select(3, 0).zero_();
  const torch::Tensor exact = (cache.cumulative.narrow(3, 0, shape.budget).to(torch::kFloat64) * 100).log1p();
  const FeatureWork of = describe_features(cache.view(shape.capacity), ScorerFeatures::kNormalized, {});
  for (const Processor processor : usable_processors()) {
    INFO("processor " << static_cast<int>(processor));
    const torch::Tensor found = gathered(of, processor).select(3, 2 * 3 + 6).flatten().to(torch::kFloat64);
    CHECK(torch::allclose(found, exact.flatten(), 4e-7, 0.0));
  }
}

TEST_CASE(
    "scorer layer: threads change nothing, and a view without gaps is read without its features in memory") {
  const CacheShape shape{2, 3, 2, 8, 200, 40, 240};
  const CacheCase cache(shape, torch::kBFloat16, 5);
  const EvictionView view = cache.view(shape.capacity);
  REQUIRE(is_readable(view, ScorerFeatures::kNormalized));
  CHECK_FALSE(is_readable(view, ScorerFeatures::kExtended));
  CHECK_FALSE(is_readable(cache.view(shape.capacity).rows(0, 2), ScorerFeatures::kServing));
  const Scorer scorer = scorer_for(shape, ScorerFeatures::kNormalized);
  const int threads = at::get_num_threads();
  std::vector<torch::Tensor> scores, gradients;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    const Candidates candidates(scorer, view);
    scores.push_back(candidates.scores());
    gradients.push_back(scorer.row_gradients(0, candidates.features(), {scores.back()})[0]);
  }
  at::set_num_threads(threads);
  CHECK(torch::equal(scores[0], scores[1]));
  CHECK(torch::equal(gradients[0], gradients[1]));
}

}  // namespace foresight::kernels
