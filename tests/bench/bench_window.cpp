// Windows of one layer of SmolLM2-135M through a cache under eviction, by rows and by tokens at a time.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/kernels/full_attention.h"

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

/// Queries of one KV head at the end of a full cache: g heads, T tokens, n entries, d 128; everything in
/// `type`. By the kernel, or by torch's operators as a full cache uses them without it.
void full_attention_of_head(benchmark::State& state, torch::ScalarType type, bool by_kernel) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kWidth = 128;
  const std::int64_t group = state.range(0), tokens = state.range(1), entries = state.range(2);
  const torch::Tensor query = torch::randn({1, 1, group, tokens, kWidth}),
                      keys = torch::randn({1, 1, entries, kWidth}).to(type),
                      values = torch::randn({1, 1, entries, kWidth}).to(type);
  const auto attend = [&] {
    if (by_kernel) {
      return kernels::full_attention({.query = query, .keys = keys, .values = values, .live = entries},
                                     kernels::best_processor(type));
    }
    if (suits_causal_attention(query[0], type)) return causal_attention(query[0].to(type), keys, values);
    return attention_output(attention_probabilities(query, keys), values);
  };
  for (auto _ : state) benchmark::DoNotOptimize(attend());
}

void by_group_tokens_and_entries(benchmark::internal::Benchmark* timed) {
  for (const std::int64_t entries : {4096, 32768}) {
    timed->Args({4, 1024, entries});
    for (const std::int64_t group : {1, 4}) timed->Args({group, 1, entries});
  }
  timed->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void by_rows_and_tokens(benchmark::internal::Benchmark* timed) {
  timed->Args({4, 64})->Args({8, 64})->Args({1, 4})->Args({1, 1})->Args({8, 1});
  timed->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(window_of_layer, float32, torch::kFloat32)->Apply(by_rows_and_tokens);
BENCHMARK_CAPTURE(window_of_layer, bfloat16, torch::kBFloat16)->Apply(by_rows_and_tokens);

BENCHMARK_CAPTURE(full_attention_of_head, float32_kernel, torch::kFloat32, true)
    ->Apply(by_group_tokens_and_entries);
BENCHMARK_CAPTURE(full_attention_of_head, float32_torch, torch::kFloat32, false)
    ->Apply(by_group_tokens_and_entries);
BENCHMARK_CAPTURE(full_attention_of_head, bfloat16_kernel, torch::kBFloat16, true)
    ->Apply(by_group_tokens_and_entries);
BENCHMARK_CAPTURE(full_attention_of_head, bfloat16_torch, torch::kBFloat16, false)
    ->Apply(by_group_tokens_and_entries);

}  // namespace
}  // namespace foresight::bench
