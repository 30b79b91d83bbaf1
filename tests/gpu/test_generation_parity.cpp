// Generation and evaluation on a GPU: the tokens and figures of the CPU (float32, without TF32).
#include <torch/types.h>

#include "golden_eviction/oracle_stage.h"
#include "tests/base/temporary_folder.h"
#include "tests/reference/paths.h"
#include "tests/traces/load_recorded.h"
#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/generation/generate_rows.h"
#include "trainer/scorer/entry_scores.h"
#include "trainer/traces/recorded_trace.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

const CacheSize kCache{16, 8};
using Tokens = std::vector<std::int32_t>;

Transformer model_on(const torch::Device& device) {
  return Transformer::load(reference_folder() / "llama/tiny", {.device = device});
}

EvictionSelector select_with_random_scorer(const Transformer& model) {
  return scorer_selector(
      Scorer::random(model.shape(), {}, RandomStream(3, "test")).to(model.options().device));
}

/// 61 tokens, recorded.
RecordedTrace recorded(const Transformer& model, const std::filesystem::path& folder) {
  TokenRow row;
  for (std::int32_t i = 0; i < 61; ++i) row.tokens.push_back(i * 37 % 97);
  row.completion.assign(row.tokens.size(), true);
  record_trace(model, row, "train-000000", 8, 0, {model.fingerprint(), "tokenizer", "", "", "float32"},
               folder / "train-000000.h5");
  return load_recorded_traces(folder, "train", 1, model.fingerprint(), "tokenizer").front();
}

}  // namespace

TEST_CASE("gpu: greedy tokens agree with the full cache, under eviction and in padded batches", "[gpu]") {
  const GenerationLimits limits{.max_new_tokens = 40, .end_tokens = {}};
  const SamplingOptions greedy{.temperature = 0, .top_p = 1, .top_k = 0};
  const Tokens prompt = {5, 17, 40, 3, 88, 12, 9, 61, 30, 2};
  const std::vector<Tokens> prompts = {prompt, {7, 8, 9}, {1, 2, 3, 4, 5, 6}};
  const auto streams = [](int count) {
    return std::vector<RandomStream>(static_cast<std::size_t>(count), RandomStream(1, "test"));
  };
  const auto texts = [&](const Transformer& model) {
    return std::vector{
        generate_rows(model, prompt, std::nullopt, kCache, {greedy, greedy}, limits, streams(2)),
        generate_rows(model, prompt, select_with_random_scorer(model), kCache, {greedy, greedy}, limits,
                      streams(2)),
        generate_batch(model, prompts, greedy, limits, streams(3))};
  };
  CHECK(texts(model_on(torch::kCPU)) == texts(model_on({torch::kCUDA, 0})));
}

TEST_CASE("gpu: policies side by side agree in loss, divergence and kept attention", "[gpu]") {
  const TemporaryFolder folder;
  const auto run = [&](const Transformer& model, const char* name) {
    const RecordedTrace trace = recorded(model, folder / name);
    PolicySet side{.size = kCache, .policies = {}};
    for (const char* policy : {"golden", "rkv", "streaming_llm"})
      side.policies.push_back(rule_policy(policy, kCache, 1));
    return run_policies(model, {trace}, {side}, Detail::kAll, 4, {}, alone()).front();
  };
  const auto on_cpu = run(model_on(torch::kCPU), "cpu"), on_gpu = run(model_on({torch::kCUDA, 0}), "gpu");
  for (std::size_t policy = 0; policy < on_cpu.size(); ++policy) {
    INFO(on_cpu[policy].name);
    CHECK(torch::allclose(on_cpu[policy].loss[0], on_gpu[policy].loss[0], 1e-4, 1e-5));
    CHECK(torch::allclose(on_cpu[policy].divergence[0], on_gpu[policy].divergence[0], 1e-3, 1e-5));
    CHECK(torch::equal(on_cpu[policy].held, on_gpu[policy].held));
  }
}

TEST_CASE("gpu: the cost of a policy is measured, a batch included", "[gpu]") {
  const Transformer model = model_on({torch::kCUDA, 0});
  const EvictionSelector select = select_with_random_scorer(model);
  const std::vector<MeasuredPolicy> policies = {{.name = "full", .select = {}, .batch_select = {}},
                                                {.name = "scorer", .select = select, .batch_select = select}};
  const auto costs = measure_cost(model, policies, {kCache, {50}, 2}, torch::arange(20));
  REQUIRE(costs.size() == 2);
  for (const PolicyCost& cost : costs) {
    CHECK(cost.decode_tokens_per_second.front() > 0);
    CHECK(cost.batch_decode_tokens_per_second.front() > 0);
  }
}
