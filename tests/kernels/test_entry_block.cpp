// The kernels of GPUs for the entries of a cache, played on the host.
#include "trainer/kernels/entry_block.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "tests/kernels/cache_case.h"
#include "tests/kernels/play_kernel.h"
#include "tests/kernels/played_gpu.h"
#include "trainer/eviction/entries.h"
#include "trainer/eviction/gpu_entries.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/scorer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

/// Takes `evicted` out on a GPU whose threads run in an order that `seed` decides.
void compact(CacheCase& cache, const torch::Tensor& evicted, torch::Tensor& wrong, std::uint64_t seed) {
  const PlayedGpu gpu(seed);
  compact_on_gpu({cache.keys, cache.values, cache.positions}, {cache.cumulative, cache.decayed}, evicted,
                 cache.shape.budget, wrong);
}

}  // namespace

TEST_CASE("entry block: compaction keeps the other entries in order, with all that belongs to them") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  for (const CacheShape& shape : cache_shapes()) {
    INFO("budget " << shape.budget << ", d " << shape.width);
    CacheCase cache(shape, type, 5);
    const torch::Tensor evicted = cache.some_candidates(shape.window);
    const torch::Tensor kept = kept_entries(evicted, shape.budget);
    const torch::Tensor keys = select_entries(cache.keys, kept), values = select_entries(cache.values, kept),
                        positions = cache.positions.gather(2, kept);
    const torch::Tensor groups =
        kept.unsqueeze(2).expand({shape.rows, shape.kv_heads, shape.group, shape.budget});
    const torch::Tensor cumulative = cache.cumulative.gather(3, groups),
                        decayed = cache.decayed.gather(3, groups);
    torch::Tensor wrong = torch::zeros({}, torch::kInt32);
    compact(cache, evicted, wrong, 3);
    CHECK(torch::equal(cache.keys.narrow(2, 0, shape.budget), keys));
    CHECK(torch::equal(cache.values.narrow(2, 0, shape.budget), values));
    CHECK(torch::equal(cache.positions.narrow(2, 0, shape.budget), positions));
    CHECK(torch::equal(cache.cumulative.narrow(3, 0, shape.budget), cumulative));
    CHECK(torch::equal(cache.decayed.narrow(3, 0, shape.budget), decayed));
    for (const torch::Tensor& sums : {cache.cumulative, cache.decayed})
      CHECK(sums.narrow(3, shape.budget, shape.window).eq(0).all().item<bool>());
    CHECK(wrong.item<std::int32_t>() == 0);
  }
}

TEST_CASE("entry block: an entry evicted twice, or none of the candidates, is told of and moves nothing") {
  CacheCase cache({1, 2, 1, 4, 12, 3, 15}, torch::kFloat32, 6);
  torch::Tensor evicted = cache.some_candidates(3);
  const std::int64_t wrong_index = GENERATE(-1, 12, 14, 100, /*twice*/ 1000);
  evicted[0][1][2] = wrong_index == 1000 ? evicted[0][1][0].item<std::int64_t>() : wrong_index;
  const torch::Tensor before = cache.keys.clone();
  torch::Tensor wrong = torch::zeros({}, torch::kInt32);
  compact(cache, evicted, wrong, 1);
  CHECK(wrong.item<std::int32_t>() == 1);
  CHECK(torch::equal(cache.keys[0][1].narrow(0, 0, 12), before[0][1].narrow(0, 0, 12)));
  CHECK_FALSE(torch::equal(cache.keys[0][0].narrow(0, 0, 12), before[0][0].narrow(0, 0, 12)));
}

TEST_CASE("entry block: new tokens go behind the live ones") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  CacheCase cache({2, 3, 1, 10, 20, 6, 40}, type, 7);
  const std::int64_t tokens = 4, live = 26;
  const torch::Tensor both = torch::randn({2, tokens, 7, 10}).transpose(1, 2);  // [R, heads, T, d]
  const torch::Tensor key = both.narrow(1, 0, 3), value = both.narrow(1, 4, 3);
  const torch::Tensor keys = cache.keys.clone(), positions = cache.positions.clone();
  const PlayedGpu gpu(1);
  append_on_gpu({cache.keys, cache.values, cache.positions}, live, 91, key, value);
  CHECK(torch::equal(cache.keys.narrow(2, live, tokens), key.to(type)));
  CHECK(torch::equal(cache.values.narrow(2, live, tokens), value.to(type)));
  CHECK(torch::equal(cache.positions.narrow(2, live, tokens), torch::arange(91, 95).expand({2, 3, tokens})));
  CHECK(torch::equal(cache.keys.narrow(2, 0, live), keys.narrow(2, 0, live)));
  CHECK(torch::equal(cache.positions.narrow(2, 0, live), positions.narrow(2, 0, live)));
}

TEST_CASE("entry block: features and scores are the scorer's, of all candidates and of chosen ones") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const auto kind = GENERATE(ScorerFeatures::kNormalized, ScorerFeatures::kReleased);
  for (const CacheShape& shape : cache_shapes()) {
    INFO("budget " << shape.budget << ", d " << shape.width);
    const CacheCase cache(shape, type, 8);
    const std::int64_t inputs = 2 * shape.width + 8 * shape.group;
    const torch::Tensor features =
        foresight::plain::candidate_features(cache.view(shape.budget + shape.window), kind);  // [R, K, B, F]
    const torch::Tensor chosen = cache.some_candidates((shape.budget + 1) / 2);
    const auto described = [&](const torch::Tensor& entries) {
      return describe_features(cache.view(shape.capacity), kind, entries);
    };
    torch::Tensor gathered = torch::full({shape.rows, shape.kv_heads, chosen.size(2), inputs}, -1.0);
    GatherWork gather;
    gather.of = described(chosen);
    gather.features = gathered.mutable_data_ptr<float>();
    play_kernel_of<GatherBlock>(gather, type == torch::kBFloat16, 1);
    CHECK(torch::allclose(gathered, select_entries(features, chosen), 1e-6, 1e-6));

    const Scorer scorer = scorer_for(shape, kind);
    const torch::Tensor expected = scorer.score(0, features).detach();
    const auto scores_of = [&](const FeatureWork& of, const torch::Tensor& ready) {
      torch::Tensor scores = torch::full({of.rows, of.kv_heads, of.entries}, -1.0);
      ScoreWork work{scorer.layer_weights(0)};
      work.of = of;
      if (ready.defined()) work.features = ready.const_data_ptr<float>();
      work.scores = scores.mutable_data_ptr<float>();
      play_kernel_of<ScoreBlock>(work, type == torch::kBFloat16, 1);
      return scores;
    };
    CHECK(torch::allclose(scores_of(described({}), {}), expected, 1e-4, 1e-5));
    CHECK(torch::allclose(scores_of(described(chosen), {}), expected.gather(2, chosen), 1e-4, 1e-5));
    CHECK(torch::allclose(scores_of(described({}), features), expected, 1e-4, 1e-5));
  }
}

}  // namespace foresight::kernels
