// The product of few rows compared with the library's, on matrices that do not fit a cache.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "trainer/model/few_rows.h"
#include "trainer/model/linear_product.h"

namespace foresight::bench {
namespace {

constexpr std::int64_t kWidth = 576, kOutputs = 49152;  // the output layer of SmolLM2-135M

template <typename Product>
void multiply(benchmark::State& state, const torch::Tensor& weight, const Product& product) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor input = torch::randn({state.range(0), kWidth}).to(weight.scalar_type());
  for (auto _ : state) benchmark::DoNotOptimize(product(input, weight));
  state.SetBytesProcessed(weight.numel() * static_cast<std::int64_t>(weight.element_size()) *
                          state.iterations());
}

torch::Tensor matrix(torch::ScalarType type) {
  return torch::randn({kOutputs, kWidth}).to(type);
}

torch::Tensor library_product(const torch::Tensor& input, const torch::Tensor& weight) {
  return torch::linear(input, weight);
}

void linear_few_rows(benchmark::State& state) {
  multiply(state, matrix(torch::kFloat32), few_rows_linear);
}

void linear_library(benchmark::State& state) {
  multiply(state, matrix(torch::kFloat32), library_product);
}

void linear_library_bfloat16(benchmark::State& state) {
  multiply(state, matrix(torch::kBFloat16), library_product);
}

void linear_packed_bfloat16(benchmark::State& state) {
  multiply(state, packed_weight(matrix(torch::kBFloat16)),
           [](const auto& input, const auto& weight) { return linear_product(input, weight); });
}

void by_rows(benchmark::internal::Benchmark* timed) {
  timed->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(linear_few_rows)->Apply(by_rows);
BENCHMARK(linear_library)->Apply(by_rows);
BENCHMARK(linear_library_bfloat16)->Apply(by_rows)->Arg(128)->Arg(1024);
BENCHMARK(linear_packed_bfloat16)->Apply(by_rows)->Arg(128)->Arg(1024);

}  // namespace
}  // namespace foresight::bench
