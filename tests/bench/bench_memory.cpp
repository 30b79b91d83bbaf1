// The peak memory of each stage, by the length of a trace, compared with the estimate of `foresight validate`
// (scripts/memory_by_length.sh).
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_step.h"
#include "tests/base/temporary_folder.h"
#include "tests/bench/bench_model.h"
#include "tests/traces/load_recorded.h"
#include "trainer/app/stage_memory.h"
#include "trainer/base/memory.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/supervised/ranking_gradient.h"
#include "trainer/supervised/streamed_states.h"

namespace foresight::bench {
namespace {

constexpr double kMib = 1 << 20;

/// The size of the cache and of a step at the paper's scale.
Config paper_config() {
  Config config;
  config.eviction = {1024, 256};
  config.grpo.group_size = 8;
  config.grpo.traces_per_step = 1;
  config.supervised.features = FeatureSource::kStream;
  config.evaluation.rows_per_pass = 2;
  return config;
}

/// Runs `work` and stores under `stage`, in MiB: the peak beyond what was held before and beyond `cache`
/// bytes; the whole process's peak; and its estimate.
void measure(benchmark::State& state, const std::string& stage, double cache,
             const std::vector<MemoryItem>& items, const std::function<void()>& work) {
  reset_peak_resident_bytes();
  const std::int64_t before = peak_resident_bytes();
  work();
  std::vector<MemoryItem> all =
      model_memory({nullptr, &bench_model().shape(), bench_model().options(), 0, 0, 1});
  all.insert(all.end(), items.begin(), items.end());
  state.counters[stage + "_beyond_MiB"] = (peak_beyond(before) - cache) / kMib;
  state.counters[stage + "_peak_MiB"] = static_cast<double>(peak_resident_bytes()) / kMib;
  state.counters[stage + "_estimate_MiB"] = host_bytes(all, bench_model().options()) / kMib;
}

double full_cache_bytes(std::int64_t tokens) {
  return static_cast<double>(FullCache(bench_model().shape(), 1, tokens, bench_model().options()).bytes());
}

/// The trace's folder: below FORESIGHT_BENCH_TRACES, where another process finds it, or below `folder`.
std::filesystem::path folder_of_trace(const TemporaryFolder& folder, std::int64_t tokens) {
  const char* const kept = std::getenv("FORESIGHT_BENCH_TRACES");
  return (kept != nullptr ? std::filesystem::path(kept) : folder.path()) / std::to_string(tokens);
}

void record(const std::filesystem::path& folder, std::int64_t tokens) {
  std::filesystem::create_directories(folder);
  record_trace(bench_model(), bench_row(tokens), "train-000000", paper_config().eviction.window, 0,
               bench_provenance(), folder / "train-000000.h5");
}

/// One oracle pass over a trace of range(0) tokens.
void memory_of_oracle(benchmark::State& state) {
  const Config config = paper_config();
  const std::int64_t tokens = state.range(0);
  const StageSetting setting{&config, &bench_model().shape(), bench_model().options(), 1, tokens, 1};
  const TemporaryFolder folder;
  for (auto _ : state) {
    measure(state, "oracle", full_cache_bytes(tokens), oracle_memory(setting),
            [&] { record(folder_of_trace(folder, tokens), tokens); });
  }
}

/// One supervised step with streamed states, one GRPO step of 8 rollouts, one evaluation of two policies on a
/// trace of range(0) tokens. The first one finds no memory that the oracle freed if memory_of_oracle() ran in
/// another process.
void memory_of_stages(benchmark::State& state) {
  const Config config = paper_config();
  const Transformer& model = bench_model();
  const CacheSize& size = config.eviction;
  const std::int64_t tokens = state.range(0);
  const StageSetting setting{&config, &model.shape(), model.options(), 1, tokens, 1};
  const TemporaryFolder folder;
  const std::filesystem::path place = folder_of_trace(folder, tokens);
  if (!std::filesystem::exists(place)) record(place, tokens);
  const Scorer scorer = Scorer::random(model.shape(), {}, RandomStream(1, "benchmark scorer")),
               reference = scorer.clone();
  for (auto _ : state) {
    const std::vector<RecordedTrace> traces =
        load_recorded_traces(place, "train", 1, model.fingerprint(), "benchmark");
    measure(state, "supervised", 0, supervised_memory(setting, /*cached=*/false), [&] {
      const StreamedStates states(model, traces, {size}, ScorerFeatures::kNormalized, golden_behaviour());
      const std::int64_t last = size.steps(tokens) - 1;
      RankingGradient gradient(scorer, config.supervised.margin, config.supervised.pair_weight, size.window);
      states.visit(0, {0, last / 2, last},
                   [&](const RankedStates& some) { gradient.add(some, "benchmark"); });
      gradient.finish(1);
    });
    measure(state, "grpo", 0, grpo_memory(setting), [&] {
      RolloutFigures rollouts;
      UpdateFigures update;
      one_pass_gradient({&model, &config, size, {&traces[0]}, 0, config.grpo.kl_weight, &reference}, scorer,
                        rollouts, update, alone());
    });
    measure(state, "evaluate", full_cache_bytes(tokens), evaluation_memory(setting, 2), [&] {
      const std::vector<Policy> two = {rule_policy("snapkv", size, 1), scorer_policy("scorer", scorer)};
      run_policies(model, traces, {PolicySet{size, two}}, Detail::kAll, 2, {}, alone());
    });
  }
}

void by_length(benchmark::internal::Benchmark* timed) {
  timed->Arg(2048)->Arg(8192)->Arg(32768)->Iterations(1)->UseRealTime()->Unit(benchmark::kSecond);
}

BENCHMARK(memory_of_oracle)->Apply(by_length);
BENCHMARK(memory_of_stages)->Apply(by_length);

}  // namespace
}  // namespace foresight::bench
