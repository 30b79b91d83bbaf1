// Windows of one layer of SmolLM2-135M through a cache under eviction, by rows and by tokens at a time.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "trainer/eviction/evicting_cache.h"

namespace foresight::bench {
namespace {

constexpr CacheSize kSize{256, 64};

/// Evicts the oldest entries: as cheap as a policy can be.
torch::Tensor oldest(const EvictionView& view) {
  return torch::arange(view.window, torch::kInt64)
      .expand({view.keys.size(0), view.keys.size(1), view.window});
}

/// A window of range(0) rows, range(1) tokens at a time; products and cache in float32, or both in bfloat16.
void window_of_layer(benchmark::State& state, torch::ScalarType type) {
  const torch::NoGradGuard no_grad;
  const std::int64_t rows = state.range(0), together = state.range(1);
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = 9;
  shape.kv_heads = 3;
  shape.head_dimension = 64;
  ModelOptions options;
  options.dtype = options.cache_dtype = type;
  EvictingCache cache(shape, RowLayout{.traces = rows}, kSize, kEndless, oldest, options);
  const auto numbers = [&](std::int64_t heads) {
    return torch::randn({rows, kSize.budget, heads, shape.head_dimension}).transpose(1, 2);
  };
  const torch::Tensor query = numbers(shape.query_heads), key = numbers(shape.kv_heads),
                      value = numbers(shape.kv_heads);
  cache.attend(0, query, key, value);
  for (auto _ : state) {
    for (std::int64_t first = 0; first < kSize.window; first += together) {
      const auto some = [&](const torch::Tensor& all) { return all.narrow(2, first, together); };
      benchmark::DoNotOptimize(cache.attend(0, some(query), some(key), some(value)));
    }
  }
}

void by_rows_and_tokens(benchmark::internal::Benchmark* timed) {
  timed->Args({4, 64})->Args({8, 64})->Args({1, 4})->Args({1, 1})->Args({8, 1});
  timed->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(window_of_layer, float32, torch::kFloat32)->Apply(by_rows_and_tokens);
BENCHMARK_CAPTURE(window_of_layer, bfloat16, torch::kBFloat16)->Apply(by_rows_and_tokens);

}  // namespace
}  // namespace foresight::bench
