// The same functions on the CPU and on a GPU (float32, without TF32): equal up to the order of sums.
#include <torch/types.h>
#include <torch/utils.h>

#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_step.h"
#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/whole_attention.h"
#include "tests/reference/paths.h"
#include "tests/supervised/mean_ranking_loss.h"
#include "tests/traces/load_recorded.h"
#include "trainer/evaluation/policies.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/ranking_loss.h"
#include "trainer/traces/recorded_trace.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

const CacheSize kSize{16, 8};
const torch::Device kGpu(torch::kCUDA, 0);
constexpr double kRelative = 1e-4, kAbsolute = 1e-5;

bool close(const torch::Tensor& on_cpu, const torch::Tensor& on_gpu) {
  return torch::allclose(on_cpu, on_gpu.to(torch::kCPU), kRelative, kAbsolute);
}

/// One tiny model on both.
struct Both {
  Transformer cpu, gpu;
  explicit Both(const std::string& folder)
      : cpu(Transformer::load(reference_folder() / folder, {})),
        gpu(Transformer::load(reference_folder() / folder, {.device = kGpu})) {}
};

torch::Tensor some_tokens(std::uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randint(0, 97, {61}, torch::kInt64);
}

}  // namespace

TEST_CASE("gpu: full passes agree in loss, entropy and observed attention", "[gpu]") {
  for (const char* folder : {"llama/tiny", "llama/tiny_untied"}) {
    INFO(folder);
    const Both models(folder);
    std::vector<torch::Tensor> seen_cpu, seen_gpu;
    const auto keep = [](std::vector<torch::Tensor>& seen) {
      return [&seen](std::int64_t, const torch::Tensor& probabilities) {
        seen.push_back(probabilities.clone());
      };
    };
    const FullPass cpu = full_pass(models.cpu, some_tokens(1), 16, keep(seen_cpu));
    const FullPass gpu = full_pass(models.gpu, some_tokens(1), 16, keep(seen_gpu));
    CHECK(close(cpu.loss, gpu.loss));
    CHECK(close(cpu.entropy, gpu.entropy));
    REQUIRE(seen_cpu.size() == seen_gpu.size());
    for (std::size_t i = 0; i < seen_cpu.size(); ++i) CHECK(close(seen_cpu[i], seen_gpu[i]));
  }
}

TEST_CASE("gpu: losses under eviction agree for every rule", "[gpu]") {
  const Both models("llama/tiny");
  const torch::Tensor tokens = torch::stack({some_tokens(1), some_tokens(2)});
  RecordedTrace a, b;
  a.id = "a", b.id = "b";
  for (const char* name : {"streaming_llm", "h2o", "snapkv", "tova", "keydiff", "rkv", "random"}) {
    INFO(name);
    const auto run = [&](const Transformer& model) {
      return evicted_losses(model, tokens, kSize, 1, rule_policy(name, kSize, 1).make({&a, &b}));
    };
    CHECK(close(run(models.cpu), run(models.gpu)));
  }
}

TEST_CASE("gpu: the oracle records the same attention up to half precision", "[gpu]") {
  const Both models("llama/tiny");
  const TemporaryFolder folder;
  TokenRow row;
  const torch::Tensor tokens = some_tokens(3);
  for (std::int64_t i = 0; i < tokens.size(0); ++i)
    row.tokens.push_back(static_cast<std::int32_t>(tokens[i].item<std::int64_t>()));
  row.completion.assign(row.tokens.size(), true);
  const auto record = [&](const Transformer& model, const char* name) {
    const OracleProvenance provenance{model.fingerprint(), "tokenizer", "", "", model.dtype_name()};
    record_trace(model, row, "train-000000", 8, 0, provenance, folder.path() / name / "train-000000.h5");
    return load_recorded_traces(folder.path() / name, "train", 1, model.fingerprint(), "tokenizer").front();
  };
  const auto cpu = whole_attention(record(models.cpu, "cpu"), 8),
             gpu = whole_attention(record(models.gpu, "gpu"), 8);
  for (std::size_t layer = 0; layer < cpu.size(); ++layer)
    CHECK(torch::allclose(cpu[layer], gpu[layer], 2e-3, 1e-5));
}

TEST_CASE("gpu: the scorer's scores, its ranking loss and gradients agree", "[gpu]") {
  const Both models("llama/tiny");
  const Scorer cpu = Scorer::random(models.cpu.shape(), {}, RandomStream(3, "test")), gpu = cpu.to(kGpu);
  torch::manual_seed(4);
  const std::int64_t heads = models.cpu.shape().kv_heads, inputs = cpu.parameters()[0].size(1);
  const torch::Tensor features = torch::randn({3, heads, 16, inputs}), oracle = torch::randn({3 * heads, 16});
  const auto loss_of = [&](const Scorer& scorer) {
    const torch::Tensor scores = scorer.score(0, features).flatten(0, 1);
    return pairwise_ranking_loss(scores, to_device(oracle, scorer.device()), 0.1, PairWeight::kGap);
  };
  const torch::Tensor loss_cpu = loss_of(cpu), loss_gpu = loss_of(gpu);
  CHECK(close(loss_cpu, loss_gpu));
  loss_cpu.backward();
  loss_gpu.backward();
  for (std::size_t i = 0; i < 4; ++i) CHECK(close(cpu.parameters()[i].grad(), gpu.parameters()[i].grad()));
}

TEST_CASE("gpu: rollouts draw the same entries, and have the same losses and policy gradient", "[gpu]") {
  const Both models("llama/tiny");
  Config config;
  config.eviction = kSize;
  config.grpo.group_size = 3;
  config.grpo.temperature = 0.5;
  RecordedTrace trace;
  trace.id = "a";
  trace.tokens = some_tokens(1);
  const FullPass pass = full_pass(models.cpu, trace.tokens, 16);
  trace.loss = pass.loss;
  trace.entropy = pass.entropy;
  const Scorer cpu = Scorer::random(models.cpu.shape(), {}, RandomStream(3, "test")), gpu = cpu.to(kGpu);
  const Scorer reference_cpu = Scorer::random(models.cpu.shape(), {}, RandomStream(4, "test")),
               reference_gpu = reference_cpu.to(kGpu);
  const GrpoStep on_cpu{&models.cpu, &config, config.eviction, {&trace}, 2, 0.3, &reference_cpu},
      on_gpu{&models.gpu, &config, config.eviction, {&trace}, 2, 0.3, &reference_gpu};
  const DrawnRollouts drawn_cpu = roll_out(on_cpu, cpu, alone()), drawn_gpu = roll_out(on_gpu, gpu, alone());
  for (std::size_t layer = 0; layer < 2; ++layer)
    CHECK(torch::equal(drawn_cpu.draws[0].layers[layer], drawn_gpu.draws[0].layers[layer]));
  CHECK(close(drawn_cpu.advantages[0], drawn_gpu.advantages[0]));
  RolloutFigures rollouts_cpu, rollouts_gpu;
  UpdateFigures update_cpu, update_gpu;
  one_pass_gradient(on_cpu, cpu, rollouts_cpu, update_cpu, alone());
  one_pass_gradient(on_gpu, gpu, rollouts_gpu, update_gpu, alone());
  CHECK(rollouts_gpu.loss_rise == Approx(rollouts_cpu.loss_rise).margin(1e-4));
  for (std::size_t i = 0; i < 8; ++i) CHECK(close(cpu.parameters()[i].grad(), gpu.parameters()[i].grad()));
}
