// The oracle: the cost of recording compared with the forward pass alone, its memory, and plans from files.
#include <malloc.h>

#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "golden_eviction/future_attention.h"
#include "golden_eviction/golden_plan.h"
#include "golden_eviction/oracle_stage.h"
#include "golden_eviction/recorded_plan.h"
#include "tests/base/temporary_folder.h"
#include "tests/bench/bench_model.h"
#include "trainer/base/memory.h"
#include "trainer/eviction/full_run.h"

namespace foresight::bench {
namespace {

constexpr std::int64_t kBlockTokens = 64;

struct Cost {
  double seconds, peak;  // bytes at the peak, beyond what was held before
};

Cost cost_of(const std::function<void()>& work) {
  malloc_trim(0);  // memory that earlier work freed must count again
  reset_peak_resident_bytes();
  const std::int64_t before = peak_resident_bytes();
  const double seconds = seconds_of(work);
  return {seconds, peak_beyond(before)};
}

/// A pass with loss and entropy, recorded to HDF5. Beside it, alternating, the pass alone.
void oracle_record(benchmark::State& state) {
  const Transformer& model = bench_model();
  const TemporaryFolder folder;
  const std::int64_t length = state.range(0);
  const TokenRow row = bench_row(length);
  const torch::Tensor tokens = bench_tokens(length);
  Cost bare{}, recorded{};
  const auto add = [](Cost& sum, const Cost& one) {
    sum = {sum.seconds + one.seconds, std::max(sum.peak, one.peak)};
  };
  for (auto _ : state) {
    add(bare, cost_of([&] { full_pass(model, tokens, bench_query_block()); }));
    const Cost one = cost_of([&] {
      record_trace(model, row, "train-000000", kBlockTokens, 0, bench_provenance(),
                   folder.path() / "train-000000.h5");
    });
    add(recorded, one);
    state.SetIterationTime(one.seconds);
  }
  const OracleDimensions dimensions{model.shape().layers, model.shape().kv_heads, length, kBlockTokens};
  const double block_floats = static_cast<double>(model.shape().query_heads * kBlockTokens * length);
  const double result_bytes =
      static_cast<double>(dimensions.layers * dimensions.kv_heads * dimensions.packed_elements()) * 2;
  state.counters["over_forward"] = recorded.seconds / bare.seconds;
  state.counters["peak_MiB"] = recorded.peak / (1 << 20);
  state.counters["forward_peak_MiB"] = bare.peak / (1 << 20);
  state.counters["result_MiB"] = result_bytes / (1 << 20);
  state.counters["HWL_MiB"] = block_floats * 4 / (1 << 20);
}

/// Future attention of captured queries and keys (9 query heads, 3 KV heads, d 64), then the plan, without a
/// model.
void oracle_plan(benchmark::State& state) {
  const std::int64_t length = state.range(0);
  const CacheSize size{1024, 256};
  torch::manual_seed(1);
  const torch::Tensor query = torch::randn({9, length, 64}), key = torch::randn({3, length, 64});
  double peak = 0;
  for (auto _ : state) {
    reset_peak_resident_bytes();
    const std::int64_t before = peak_resident_bytes();
    benchmark::DoNotOptimize(golden_plan(future_attention(query, key, size.window), size).evicted);
    peak = std::max(peak, peak_beyond(before));
  }
  state.counters["peak_MiB"] = peak / (1 << 20);
  state.counters["HWL_MiB"] = static_cast<double>(9 * size.window * length) * 4 / (1 << 20);
}

/// Plans of all layers for another budget from a recorded file: no model.
void oracle_replan(benchmark::State& state) {
  const RecordedTrace& trace = bench_trace(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(golden_evictions(trace, {128, 64}).size());
}

BENCHMARK(oracle_record)
    ->Arg(1024)
    ->Arg(2048)
    ->Arg(4096)
    ->Arg(8192)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(oracle_plan)
    ->Arg(2048)
    ->Arg(4096)
    ->Arg(8192)
    ->Arg(16384)
    ->Arg(32768)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(oracle_replan)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
