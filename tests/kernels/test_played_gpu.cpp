// Whole passes with the kernels of GPUs, played on the host, beside the same passes of the CPU: what the
// callers tell the kernels of shapes, strides and types is right.
#include <torch/types.h>
#include <torch/utils.h>

#include "golden_eviction/oracle_stage.h"
#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/whole_attention.h"
#include "tests/kernels/played_gpu.h"
#include "tests/rl/rollout_fixture.h"
#include "tests/scorer/gradients.h"
#include "tests/traces/load_recorded.h"
#include "trainer/base/error.h"
#include "trainer/eviction/full_run.h"
#include "trainer/scorer/entry_scores.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

using kernels::PlayedGpu;

bool close(const torch::Tensor& own, const torch::Tensor& played) {
  return torch::allclose(own.to(torch::kFloat32), played.to(torch::kFloat32), 1e-4, 1e-5);
}

/// What `run` returns on the CPU and on a played GPU.
template <typename Run>
auto on_both(const Run& run) {
  auto cpu = run();
  const PlayedGpu gpu(3);
  auto played = run();
  REQUIRE(gpu.launches() > 0);
  return std::pair(std::move(cpu), std::move(played));
}

}  // namespace

TEST_CASE("played GPU: losses and entropies of full passes are the CPU's, for every norm and rotation") {
  for (const char* folder : {"llama/tiny", "llama/tiny_untied", "families/olmo2", "families/gemma3"}) {
    INFO(folder);
    const Transformer model = Transformer::load(reference_folder() / folder, {});
    torch::manual_seed(1);
    const torch::Tensor tokens = torch::randint(0, model.shape().vocabulary_size, {40}, torch::kInt64);
    const auto [cpu, played] = on_both([&] { return full_pass(model, tokens, 16); });
    CHECK(close(cpu.loss, played.loss));
    CHECK(close(cpu.entropy, played.entropy));
  }
}

TEST_CASE(
    "played GPU: the oracle records the attention of the CPU's pass, in a last block that is not full too") {
  const char* const folder =
      GENERATE("llama/tiny", "families/gpt_oss");  // the latter has sinks and sliding layers
  INFO(folder);
  const Transformer model = Transformer::load(reference_folder() / folder, {});
  const TemporaryFolder files;
  TokenRow row;
  for (std::int32_t i = 0; i < 61; ++i)
    row.tokens.push_back(i * 37 % static_cast<std::int32_t>(model.shape().vocabulary_size));
  row.completion.assign(row.tokens.size(), true);
  const auto [cpu, played] = on_both([&] {
    const OracleProvenance provenance{model.fingerprint(), "tokenizer", "", "", model.dtype_name()};
    record_trace(model, row, "train-000000", 8, 0, provenance, files / "train-000000.h5");
    return whole_attention(
        load_recorded_traces(files.path(), "train", 1, model.fingerprint(), "tokenizer").front(), 8);
  });
  REQUIRE(cpu.size() == played.size());
  for (std::size_t layer = 0; layer < cpu.size(); ++layer)
    CHECK(torch::allclose(cpu[layer], played[layer], 2e-3, 1e-5));  // of float16
}

TEST_CASE("played GPU: losses under a scorer's evictions are the CPU's, for every kind of features") {
  ScorerFacts facts;
  facts.features = GENERATE(ScorerFeatures::kNormalized, ScorerFeatures::kExtended, ScorerFeatures::kRelative,
                            ScorerFeatures::kReleased, ScorerFeatures::kServing);
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  torch::manual_seed(2);
  const torch::Tensor tokens = torch::randint(0, 97, {2, 61}, torch::kInt64);
  const Scorer scorer = Scorer::random(model.shape(), facts, RandomStream(3, "test"));
  const auto [cpu, played] = on_both([&] {
    return evicted_losses(model, tokens, {16, 8}, 1, scorer_selector(scorer));
  });
  CHECK(close(cpu, played));
}

TEST_CASE("played GPU: over bfloat16 caches the kernels' rounding moves losses as much as the caches' own") {
  const auto losses_with = [](torch::ScalarType type) {
    const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {.cache_dtype = type});
    torch::manual_seed(3);
    const torch::Tensor tokens = torch::randint(0, 97, {4, 61}, torch::kInt64);
    const EvictionSelector oldest = [](const EvictionView& view) {
      return torch::arange(view.window).expand({view.keys.size(0), view.keys.size(1), view.window});
    };
    return evicted_losses(model, tokens, {16, 8}, 1, oldest);
  };
  const auto [cpu, played] = on_both([&] { return losses_with(torch::kBFloat16); });
  const double of_caches = (cpu - losses_with(torch::kFloat32)).abs().mean().item<double>();
  const double of_kernels = (cpu - played).abs().mean().item<double>();
  CHECK(of_kernels > 0);  // queries and probabilities are rounded too
  CHECK(of_kernels < 2 * of_caches);
}

TEST_CASE("played GPU: rollouts draw the CPU's entries, and have its losses and policy gradient") {
  RolloutFixture fixture;
  fixture.config.grpo.likelihood = GENERATE(Likelihood::kPlackettLuce, Likelihood::kIndependent);
  const GrpoStep step = fixture.step({&fixture.a, &fixture.b});
  const auto [cpu, played] = on_both([&] { return roll_out(step, fixture.scorer, alone()); });
  for (std::size_t layer = 0; layer < cpu.draws[0].layers.size(); ++layer)
    CHECK(torch::equal(cpu.draws[0].layers[layer], played.draws[0].layers[layer]));
  const auto [gradient, played_gradient] = on_both([&] {
    RolloutFigures figures;
    UpdateFigures update;
    one_pass_gradient(step, fixture.scorer, figures, update, alone());
    return take_gradient(fixture.scorer);
  });
  CHECK(relative_difference(played_gradient, gradient) < 1e-4);
}

TEST_CASE("played GPU: a policy that evicts an entry twice is told of at the end of the run") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const EvictionSelector first_again = [](const EvictionView& view) {
    return torch::zeros({view.keys.size(0), view.keys.size(1), view.window}, torch::kInt64);
  };
  const torch::Tensor tokens = torch::randint(0, 97, {1, 61}, torch::kInt64);
  const PlayedGpu gpu(1);
  CHECK_THROWS_WITH(evicted_losses(model, tokens, {16, 8}, 1, first_again),
                    Catch::Contains("evicted an entry twice"));
}

TEST_CASE("played GPU: a GRPO step starts few kernels of ours a layer and window") {
  RolloutFixture fixture;
  const GrpoStep step = fixture.step({&fixture.a});
  const PlayedGpu gpu(1);
  RolloutFigures figures;
  UpdateFigures update;
  one_pass_gradient(step, fixture.scorer, figures, update, alone());
  const std::int64_t layers = fixture.model.shape().layers, evictions = step.size.steps(fixture.a.length());
  // Scores, noise, compaction, features of the shortlist, the reference's scores and the likelihoods.
  const std::int64_t of_evictions =
      gpu.launches(6) + gpu.launches(7) + gpu.launches(8) + gpu.launches(9) + gpu.launches(10);
  CHECK(of_evictions == 6 * layers * evictions);
  // Two norms, rotation, append, attention and gate: each forward pass is of a window, or of a part of the
  // prefix.
  const std::int64_t of_layers = gpu.launches(0) + gpu.launches(2) + gpu.launches(3) + gpu.launches(5);
  CHECK(of_layers % (4 * layers) == 0);
  CHECK(of_layers / (4 * layers) <= evictions + 3);
}

}  // namespace foresight
