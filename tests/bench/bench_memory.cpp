// The peak memory of each stage, by the length of a trace, compared with the estimate of `foresight validate`
// (scripts/memory_by_length.sh).
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_step.h"
#include "tests/base/temporary_folder.h"
#include "tests/bench/bench_model.h"
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

/// One oracle pass, one supervised step with streamed states, one GRPO step of 8 rollouts, one evaluation of
/// two policies on a trace of range(0) tokens.
void memory_of_stages(benchmark::State& state) {
  const Config config = paper_config();
  const Transformer& model = bench_model();
  const CacheSize& size = config.eviction;
  const std::int64_t tokens = state.range(0);
  const StageSetting setting{&config, &model.shape(), model.options(), 1, tokens, 1};
  const TemporaryFolder folder;
  const double full_cache = static_cast<double>(FullCache(model.shape(), 1, tokens, model.options()).bytes());
  const Scorer scorer = Scorer::random(model.shape(), {}, RandomStream(1, "benchmark scorer")),
               reference = scorer.clone();
  for (auto _ : state) {
    measure(state, "oracle", full_cache, oracle_memory(setting), [&] {
      record_trace(model, bench_row(tokens), "train-000000", size.window, 0, bench_provenance(),
                   folder.path() / "train-000000.h5");
    });
    const std::vector<RecordedTrace> traces =
        load_recorded_traces(folder.path(), "train", 1, model.fingerprint(), "benchmark");
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
    measure(state, "evaluate", full_cache, evaluation_memory(setting, 2), [&] {
      const std::vector<Policy> two = {rule_policy("snapkv", size, 1), scorer_policy("scorer", scorer)};
      run_policies(model, traces, {PolicySet{size, two}}, Detail::kAll, 2, {}, alone());
    });
  }
}

BENCHMARK(memory_of_stages)
    ->Arg(2048)
    ->Arg(8192)
    ->Arg(32768)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace foresight::bench
