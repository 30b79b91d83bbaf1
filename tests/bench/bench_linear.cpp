// The product of few rows compared with the library's, on matrices that do not fit a cache.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "trainer/model/few_rows.h"

namespace foresight::bench {
namespace {

template <typename Product>
void multiply(benchmark::State& state, const Product& product, torch::ScalarType type = torch::kFloat32) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kWidth = 576, kOutputs = 49152;  // the output layer of SmolLM2-135M
  const torch::Tensor weight = torch::randn({kOutputs, kWidth}).to(type);
  const torch::Tensor input = torch::randn({state.range(0), kWidth}).to(type);
  for (auto _ : state) benchmark::DoNotOptimize(product(input, weight));
  state.SetBytesProcessed(static_cast<std::int64_t>(weight.nbytes()) * state.iterations());
}

void linear_few_rows(benchmark::State& state) {
  multiply(state, few_rows_linear);
}

void linear_library(benchmark::State& state) {
  multiply(state, [](const auto& input, const auto& weight) { return torch::linear(input, weight); });
}

void linear_few_rows_bfloat16(benchmark::State& state) {
  multiply(state, few_rows_linear, torch::kBFloat16);  // fails on processors without products of pairs
}

void linear_library_bfloat16(benchmark::State& state) {
  multiply(
      state, [](const auto& input, const auto& weight) { return torch::linear(input, weight); },
      torch::kBFloat16);
}

void by_rows(benchmark::internal::Benchmark* timed) {
  timed->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(linear_few_rows)->Apply(by_rows);
BENCHMARK(linear_library)->Apply(by_rows);
BENCHMARK(linear_few_rows_bfloat16)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(linear_library_bfloat16)->Apply(by_rows);

}  // namespace
}  // namespace foresight::bench
