// Greedy decoding with the full cache and under eviction, one row and a batch, by context length.
#include <torch/types.h>

#include <benchmark/benchmark.h>

#include "tests/bench/bench_model.h"
#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/policies.h"
#include "trainer/scorer/entry_scores.h"

namespace foresight::bench {
namespace {

constexpr CacheSize kSize{256, 64};
constexpr std::int64_t kBatch = 8;

/// Decodes after contexts of range(0) tokens; the time of the iteration is that of the one row.
void decode(benchmark::State& state, const MeasuredPolicy& policy) {
  const std::int64_t context = state.range(0);
  for (auto _ : state) {
    const PolicyCost cost =
        measure_cost(bench_model(), {policy}, {kSize, {context}, kBatch}, bench_tokens(context)).front();
    const double per_token_s = 1.0 / cost.decode_tokens_per_second.front();
    state.SetIterationTime(per_token_s);
    state.counters["tokens_per_second"] = cost.decode_tokens_per_second.front();
    state.counters["batch_tokens_per_second"] = cost.batch_decode_tokens_per_second.front();
    state.counters["prefill_tokens_per_second"] = cost.prefill_tokens_per_second.front();
    state.counters["kv_bytes"] = static_cast<double>(cost.kv_bytes.front());
    // Scoring and compaction of all layers, once a window.
    state.counters["eviction_share"] =
        1e-3 * cost.milliseconds_per_eviction / (static_cast<double>(kSize.window) * per_token_s);
  }
}

void decode_full(benchmark::State& state) {
  decode(state, {.name = "full", .select = {}, .batch_select = {}});
}

void decode_scorer(benchmark::State& state) {
  decode(state, {.name = "scorer",
                 .select = scorer_selector(bench_scorer()),
                 .batch_select = scorer_selector(bench_scorer())});
}

// 7936 tokens and those decoded after them are all positions of SmolLM2.
BENCHMARK(decode_full)->Arg(1024)->Arg(7936)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(decode_scorer)
    ->Arg(1024)
    ->Arg(2048)
    ->Arg(4096)
    ->Arg(7936)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
