// GRPO: a step's rollouts and gradient compared with the teacher-forced passes that it needs at least; cost
// by length.
#include <torch/types.h>

#include <benchmark/benchmark.h>

#include "rl/grpo_step.h"
#include "tests/bench/bench_model.h"
#include "tests/eviction/evicted_losses.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/kernels/scorer_layer.h"
#include "trainer/scorer/entry_scores.h"

namespace foresight::bench {
namespace {

constexpr CacheSize kSize{256, 64};
constexpr std::int64_t kTokens = 1024, kGroup = 8;

/// Evicts the oldest entries: as cheap as a policy can be.
torch::Tensor oldest(const EvictionView& view) {
  return torch::arange(view.window, torch::TensorOptions().device(view.keys.device()).dtype(torch::kInt64))
      .expand({view.keys.size(0), view.keys.size(1), view.window});
}

/// A GRPO step of one trace and a group of 8 rollouts with its gradient, in one pass; `over_forwards`: that
/// over the same rows' passes with the cheapest policy.
void grpo_step(benchmark::State& state) {
  const Transformer& model = bench_model();
  const RecordedTrace& trace = bench_trace(kTokens);
  Config config;
  config.eviction = kSize;
  config.grpo.group_size = kGroup;
  const Scorer& scorer = bench_scorer();
  const Scorer reference = scorer.clone();
  double forwards_s = 0, step_s = 0;
  for (auto _ : state) {
    forwards_s +=
        seconds_of([&] { evicted_losses(model, trace.tokens.unsqueeze(0), kSize, kGroup, oldest); });
    const double step = seconds_of([&] {
      RolloutFigures figures;
      UpdateFigures update;
      one_pass_gradient({&model, &config, config.eviction, {&trace}, 0, config.grpo.kl_weight, &reference},
                        scorer, figures, update, alone());
    });
    for (torch::Tensor parameter : scorer.parameters()) parameter.mutable_grad().reset();
    step_s += step;
    state.SetIterationTime(step);
  }
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["tokens_per_second"] = static_cast<double>(kTokens * kGroup) * iterations / step_s;
  state.counters["over_forwards"] = step_s / forwards_s;
  state.counters["rollouts"] = kGroup;
  state.counters["forwards_ms"] = 1e3 * forwards_s / iterations;
}

/// A teacher-forced pass of 4 rows under the scorer's evictions, by length.
void evicted_pass_by_length(benchmark::State& state) {
  const torch::Tensor tokens = bench_tokens(state.range(0)).unsqueeze(0);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        evicted_losses(bench_model(), tokens, kSize, 4, scorer_selector(bench_scorer())));
    wait_for_device();
  }
  state.counters["tokens_per_second"] = benchmark::Counter(
      static_cast<double>(4 * state.range(0) * state.iterations()), benchmark::Counter::kIsRate);
}

/// Ten policies side by side; `over_one`: that over one policy and the full pass.
void evaluate_ten_policies(benchmark::State& state) {
  const Transformer& model = bench_model();
  std::vector<RecordedTrace> traces;
  for (std::int64_t i = 0; i < state.range(0); ++i) traces.push_back(bench_trace(kTokens, i));
  std::vector<Policy> ten;
  for (const char* name : {"golden", "random", "streaming_llm", "h2o", "snapkv", "tova", "keydiff", "rkv"})
    ten.push_back(rule_policy(name, kSize, 1));
  for (const char* name : {"supervised", "grpo"})
    ten.push_back({name, [](const auto&) { return scorer_selector(bench_scorer()); }});
  const EvaluationOptions options{.size = kSize};
  for (auto _ : state) {
    const double one_s = seconds_of([&] {
      for (const RecordedTrace& trace : traces) full_pass(model, trace.tokens, bench_query_block());
      evaluate_policies(model, traces, {ten.back()}, options, alone());
    });
    const double ten_s = seconds_of([&] { evaluate_policies(model, traces, ten, options, alone()); });
    state.SetIterationTime(ten_s);
    state.counters["over_one"] = ten_s / one_s;
  }
}

/// A layer's scores of 8 rows and their gradients for two kinds of deltas, from features in memory: by
/// torch's operators (range(0) = -1), or by the functions of usable_processors()[range(0)].
void scorer_layer(benchmark::State& state) {
  torch::manual_seed(1);
  const Scorer& scorer = bench_scorer();
  const ScorerShape& shape = scorer.shape();
  const std::int64_t inputs = shape.inputs(scorer.facts().features);
  const torch::Tensor features = torch::randn({kGroup, shape.kv_heads, kSize.budget, inputs}),
                      delta = torch::randn({kGroup, shape.kv_heads, kSize.budget});
  const auto processors = kernels::usable_processors();
  const std::int64_t which = state.range(0);
  if (which >= static_cast<std::int64_t>(processors.size())) {
    state.SkipWithError("this processor has no such functions");
    return;
  }
  torch::Tensor scores = torch::empty_like(delta);
  kernels::ScoreWork score{scorer.layer_weights(0)};
  score.of.rows = kGroup;
  score.of.kv_heads = shape.kv_heads;
  score.of.entries = kSize.budget;
  score.of.inputs = inputs;
  score.features = features.const_data_ptr<float>();
  score.scores = scores.mutable_data_ptr<float>();
  kernels::GradientWork gradient{scorer.layer_weights(0)};
  gradient.rows = kGroup;
  gradient.kv_heads = shape.kv_heads;
  gradient.entries = kSize.budget;
  gradient.inputs = inputs;
  gradient.features = score.features;
  std::vector<torch::Tensor> gradients;
  for (int kind = 0; kind < kernels::GradientWork::kMost; ++kind) {
    gradients.push_back(torch::empty({kGroup, gradient.numbers()}));
    gradient.deltas[kind] = delta.const_data_ptr<float>();
    gradient.gradients[kind] = gradients.back().mutable_data_ptr<float>();
  }
  const torch::NoGradGuard no_grad;
  for (auto _ : state) {
    if (which < 0) {
      benchmark::DoNotOptimize(scorer.score_by_torch(0, features));
      benchmark::DoNotOptimize(scorer.row_gradients_by_torch(0, features, {delta, delta}));
    } else {
      const kernels::Processor processor = processors[static_cast<std::size_t>(which)];
      kernels::score(score, torch::kCPU, processor);
      kernels::differentiate(gradient, processor);
    }
  }
}

BENCHMARK(grpo_step)->Iterations(3)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(scorer_layer)->DenseRange(-1, 3)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(evicted_pass_by_length)
    ->Arg(1024)
    ->Arg(2048)
    ->Arg(4096)
    ->Arg(8192)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(evaluate_ten_policies)
    ->Arg(4)
    ->Arg(16)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace foresight::bench
