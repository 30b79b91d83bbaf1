// The supervised stage: the ranking loss against all pairs in memory, a step against the replay it saves.
#include <torch/types.h>
#include <torch/utils.h>

#include <benchmark/benchmark.h>

#include <optional>

#include "tests/base/temporary_folder.h"
#include "tests/bench/bench_model.h"
#include "tests/supervised/all_pairs.h"
#include "tests/supervised/mean_ranking_loss.h"
#include "trainer/base/memory.h"
#include "trainer/kernels/window_attention.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/ranking_gradient.h"
#include "trainer/supervised/streamed_states.h"

namespace foresight::bench {
namespace {

constexpr double kMargin = 0.01;
constexpr CacheSize kSize{256, 64};

template <typename Loss>
void ranking(benchmark::State& state, const Loss& loss_of) {
  torch::manual_seed(1);
  constexpr std::int64_t kRows = 30;
  const torch::Tensor oracle = torch::rand({kRows, state.range(0)});
  torch::Tensor scores = torch::randn({kRows, state.range(0)}).requires_grad_();
  loss_of(scores, oracle).backward();
  double peak = 0;
  for (auto _ : state) {
    reset_peak_resident_bytes();
    const std::int64_t before = peak_resident_bytes();
    scores.mutable_grad().reset();
    loss_of(scores, oracle).backward();
    peak = std::max(peak, peak_beyond(before));
  }
  state.counters["peak_MiB"] = peak / (1 << 20);
}

void ranking_loss(benchmark::State& state) {
  ranking(state, [](const torch::Tensor& scores, const torch::Tensor& oracle) {
    return pairwise_ranking_loss(scores, oracle, kMargin);
  });
}

void ranking_loss_all_pairs(benchmark::State& state) {
  ranking(state, [](const torch::Tensor& scores, const torch::Tensor& oracle) {
    return pairwise_ranking_loss_all_pairs(scores, oracle, kMargin);
  });
}

/// One layer, 10 evictions of one trace: attention of the window, features, scores, loss, backward. B =
/// range(0).
void ranking_one_layer(benchmark::State& state) {
  const ModelShape& shape = bench_model().shape();
  const std::int64_t budget = state.range(0), window = budget / 4, entries = budget + window;
  const std::int64_t heads = shape.kv_heads, d = shape.head_dimension;
  torch::manual_seed(1);
  const auto sums = [&] { return torch::rand({10, heads, shape.group(), entries}); };
  EvictionView view;
  view.budget = budget;
  view.window = window;
  view.keys = torch::randn({10, heads, entries, d});
  view.values = torch::randn({10, heads, entries, d});
  view.window_statistics = torch::empty({10, heads, shape.group(), kernels::kStatistics, entries});
  view.queries = torch::randn({10, heads, shape.group(), window, d});
  view.cumulative = sums();
  view.decayed = sums();
  const torch::Tensor oracle = torch::rand({10 * heads, budget});
  for (auto _ : state) {
    kernels::window_attention({.query = view.queries,
                               .keys = view.keys,
                               .values = view.values,
                               .live = entries,
                               .first = 0,
                               .window = window},
                              view.window_statistics);
    const torch::Tensor features = candidate_features(view, ScorerFeatures::kNormalized);
    pairwise_ranking_loss(bench_scorer().score(0, features).flatten(0, 1), oracle, kMargin).backward();
  }
}

/// A step over all evictions of 4 traces of 1024 tokens from stored features; `replay_over_step`: what it
/// costs when the features are computed again.
void supervised_step(benchmark::State& state) {
  constexpr std::int64_t kTraces = 4, kTokens = 1024;
  const Transformer& model = bench_model();
  const TemporaryFolder folder;
  std::vector<RecordedTrace> traces;
  for (std::int64_t i = 0; i < kTraces; ++i) traces.push_back(bench_trace(kTokens, i));
  const std::vector<CacheSize> sizes(kTraces, kSize);
  std::optional<CachedStates> replayed;
  const std::vector<std::vector<std::int64_t>> all =
      StreamedStates(model, traces, sizes, ScorerFeatures::kNormalized, golden_behaviour()).evictions();
  const double replay_s = seconds_of([&] {
    replayed.emplace(folder.path(), model, traces, sizes, ScorerFeatures::kNormalized, golden_behaviour(),
                     all, alone());
  });
  const Scorer& scorer = bench_scorer();
  double step_s = 0;
  for (auto _ : state) {
    step_s += seconds_of([&] {
      for (std::int64_t trace = 0; trace < kTraces; ++trace) {
        RankingGradient gradient(scorer, kMargin, PairWeight::kUniform, kSize.window);
        replayed->visit(trace, all[static_cast<std::size_t>(trace)],
                        [&](const RankedStates& states) { gradient.add(states, "bench"); });
        gradient.finish(1.0 / kTraces);
      }
    });
    for (torch::Tensor parameter : scorer.parameters()) parameter.mutable_grad().reset();
  }
  state.counters["replay_over_step"] = (replay_s + step_s / static_cast<double>(state.iterations())) /
                                       (step_s / static_cast<double>(state.iterations()));
}

BENCHMARK(ranking_loss)->Arg(512)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ranking_loss_all_pairs)->Arg(512)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ranking_one_layer)->Arg(512)->Arg(1024)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(supervised_step)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
