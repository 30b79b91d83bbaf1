// Operations between a layer's products, for 1024 tokens of SmolLM2-135M: our kernels compared with torch's
// operators.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "trainer/eviction/grouped_attention.h"
#include "trainer/model/row_functions.h"

namespace foresight::bench {
namespace {

constexpr std::int64_t kTokens = 1024, kWidth = 576, kInner = 1536, kHeads = 9, kKvHeads = 3, kDimension = 64;

template <typename Function>
void measure(benchmark::State& state, const Function& function) {
  const torch::NoGradGuard no_grad;
  for (auto _ : state) benchmark::DoNotOptimize(function());
}

template <auto kFunction>
void norm(benchmark::State& state) {
  const torch::Tensor hidden = torch::randn({1, kTokens, kWidth}), weight = torch::randn({kWidth});
  measure(state, [&] { return kFunction(hidden, weight, 1e-5, torch::kFloat32); });
}

template <auto kFunction>
void rotation(benchmark::State& state) {
  const torch::Tensor joined = torch::randn({1, kTokens, kHeads + 2 * kKvHeads, kDimension}).transpose(1, 2);
  const torch::Tensor heads = joined.narrow(1, 0, kHeads + kKvHeads);
  const torch::Tensor cosine = torch::randn({1, 1, kTokens, kDimension / 2}),
                      sine = torch::randn_like(cosine);
  measure(state, [&] { return kFunction(heads, cosine, sine); });
}

template <auto kFunction>
void gate(benchmark::State& state) {
  const torch::Tensor gate_up = torch::randn({1, kTokens, 2 * kInner});
  measure(state, [&] { return kFunction(gate_up); });
}

template <auto kFunction>
void losses(benchmark::State& state) {
  constexpr std::int64_t kRows = 128, kVocabulary = 49152;
  const torch::Tensor logits = torch::randn({kRows, kVocabulary});
  const torch::Tensor targets = torch::randint(kVocabulary, {kRows}, torch::kInt64);
  measure(state, [&] { return kFunction(logits, targets); });
}

template <auto kFunction>
void softmax(benchmark::State& state) {
  const torch::Tensor scores = torch::randn({kHeads, 128, kTokens});
  measure(state, [&] { return kFunction(scores, 0.125, {}); });
}

torch::Tensor attention_in_blocks(const torch::Tensor& query, const torch::Tensor& keys,
                                  const torch::Tensor& values) {
  constexpr std::int64_t kBlock = 128;
  const torch::Tensor grouped = query.view({1, kKvHeads, kHeads / kKvHeads, kTokens, kDimension});
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0; first < kTokens; first += kBlock) {
    const std::int64_t entries = keys.size(2) - kTokens + first + kBlock;
    outputs.push_back(attention_output(
        attention_probabilities(grouped.narrow(3, first, kBlock), keys.narrow(2, 0, entries)),
        values.narrow(2, 0, entries)));
  }
  return torch::cat(outputs, 3);
}

torch::Tensor fused_attention(const torch::Tensor& query, const torch::Tensor& keys,
                              const torch::Tensor& values) {
  return causal_attention(query, keys, values);
}

template <auto kFunction>
void attention(benchmark::State& state) {
  const torch::Tensor query = torch::randn({1, kHeads, kTokens, kDimension});
  const torch::Tensor keys = torch::randn({1, kKvHeads, state.range(0), kDimension});
  const torch::Tensor values = torch::randn_like(keys);
  measure(state, [&] { return kFunction(query, keys, values); });
}

BENCHMARK(norm<rms_norm>)->Name("rows_norm/fused")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(norm<plain::rms_norm>)->Name("rows_norm/plain")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(rotation<rotate>)->Name("rows_rotation/fused")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(rotation<plain::rotate>)->Name("rows_rotation/plain")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(gate<gated_silu>)->Name("rows_gate/fused")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(gate<plain::gated_silu>)->Name("rows_gate/plain")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax<causal_softmax>)->Name("rows_softmax/fused")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(softmax<plain::causal_softmax>)
    ->Name("rows_softmax/plain")
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(losses<loss_and_entropy>)->Name("rows_losses/fused")->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(losses<plain::loss_and_entropy>)
    ->Name("rows_losses/plain")
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(attention<fused_attention>)
    ->Name("rows_attention/fused")
    ->Arg(1024)
    ->Arg(4096)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(attention<attention_in_blocks>)
    ->Name("rows_attention/plain")
    ->Arg(1024)
    ->Arg(4096)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace foresight::bench
