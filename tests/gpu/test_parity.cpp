// The same functions on the CPU and on a GPU (float32, without TF32): equal up to the order of sums.
#include <torch/types.h>
#include <torch/utils.h>

#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_step.h"
#include "rl/rollout.h"
#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/whole_attention.h"
#include "tests/reference/paths.h"
#include "tests/supervised/mean_ranking_loss.h"
#include "tests/traces/load_recorded.h"
#include "trainer/base/error.h"
#include "trainer/evaluation/policies.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/model/row_functions.h"
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
    const FullPass cpu = full_pass(models.cpu, some_tokens(1), 16, {.attention = keep(seen_cpu)});
    const FullPass gpu = full_pass(models.gpu, some_tokens(1), 16, {.attention = keep(seen_gpu)});
    CHECK(close(cpu.loss, gpu.loss));
    CHECK(close(cpu.entropy, gpu.entropy));
    REQUIRE(seen_cpu.size() == seen_gpu.size());
    for (std::size_t i = 0; i < seen_cpu.size(); ++i) CHECK(close(seen_cpu[i], seen_gpu[i]));
  }
}

TEST_CASE("gpu: fused causal attention of grouped heads is that of the probabilities", "[gpu]") {
  torch::manual_seed(1);
  for (const std::int64_t before : {0, 1, 700}) {
    INFO(before << " entries before the queries");
    const auto random = [](torch::IntArrayRef sizes) { return torch::randn(sizes).to(torch::kBFloat16); };
    const torch::Tensor query = random({2, 8, 300, 64}), keys = random({2, 2, before + 300, 64}),
                        values = random({2, 2, before + 300, 64});
    REQUIRE(suits_causal_attention(query.to(kGpu), torch::kBFloat16));
    const torch::Tensor found = causal_attention(query.to(kGpu), keys.to(kGpu), values.to(kGpu));
    const torch::Tensor grouped = query.to(torch::kFloat32).view({2, 2, 4, 300, 64});
    const torch::Tensor expected = attention_output(
        attention_probabilities(grouped, keys.to(torch::kFloat32)), values.to(torch::kFloat32));
    // Probabilities are rounded to bfloat16 on the way; values are below 6.
    const torch::Tensor difference = found.to(torch::kCPU, torch::kFloat32) - expected.view({2, 8, 300, 64});
    CHECK(difference.abs().max().item<double>() < 6.0 / 256);
  }
}

TEST_CASE("gpu: bfloat16 rows are the CPU's", "[gpu]") {
  torch::manual_seed(2);
  const auto random = [](torch::IntArrayRef sizes) { return (3 * torch::randn(sizes)).to(torch::kBFloat16); };
  const auto near = [](const torch::Tensor& on_cpu, const torch::Tensor& on_gpu) {
    return torch::allclose(on_cpu.to(torch::kFloat32), on_gpu.to(torch::kCPU, torch::kFloat32), 1.0 / 128,
                           1e-4);
  };
  const torch::Tensor gate_up = random({5, 700}), logits = random({9, 5000}), joined = random({2, 7, 6, 64});
  CHECK(near(gated_silu(gate_up), gated_silu(gate_up.to(kGpu))));
  const torch::Tensor targets = torch::randint(0, 5000, {9}, torch::kInt64);
  const LossAndEntropy cpu = loss_and_entropy(logits, targets),
                       gpu = loss_and_entropy(logits.to(kGpu), targets);
  CHECK(close(cpu.loss, gpu.loss));
  CHECK(close(cpu.entropy, gpu.entropy));
  const torch::Tensor angles = torch::randn({1, 1, 7, 32}), cosine = angles.cos(), sine = angles.sin();
  CHECK(close(rotate(joined.transpose(1, 2), cosine, sine),
              rotate(joined.to(kGpu).transpose(1, 2), cosine.to(kGpu), sine.to(kGpu))));
  const torch::Tensor hidden = torch::randn({6, 576}), weight = torch::randn({576});
  CHECK(near(rms_norm(hidden, weight, 1e-5, torch::kBFloat16),
             rms_norm(hidden.to(kGpu), weight.to(kGpu), 1e-5, torch::kBFloat16)));
}

TEST_CASE("gpu: noise is the CPU's but for the last digit of a logarithm", "[gpu]") {
  std::vector<RandomStream> streams;
  for (std::int64_t row = 0; row < 70; ++row)
    streams.emplace_back(9, "test", std::initializer_list<std::int64_t>{row});
  const torch::Tensor cpu = gumbel_noise(streams, 3000, torch::kCPU), gpu = gumbel_noise(streams, 3000, kGpu);
  CHECK(torch::allclose(cpu, gpu.to(torch::kCPU), 1e-6, 1e-6));
  CHECK((cpu == gpu.to(torch::kCPU)).to(torch::kFloat64).mean().item<double>() > 0.9999);
}

TEST_CASE("gpu: a policy that evicts an entry twice is told of at the end of the run", "[gpu]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {.device = kGpu});
  const EvictionSelector first_again = [](const EvictionView& view) {
    return torch::zeros({view.keys.size(0), view.keys.size(1), view.window}, torch::kInt64).to(kGpu);
  };
  CHECK_THROWS_AS(evicted_losses(model, some_tokens(1).unsqueeze(0), kSize, 1, first_again), Error);
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
  trace.completion = torch::ones({trace.length()}, torch::kBool);
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
