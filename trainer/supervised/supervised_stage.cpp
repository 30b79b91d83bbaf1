#include "trainer/supervised/supervised_stage.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/supervised/eviction_samples.h"
#include "trainer/supervised/normalisation.h"
#include "trainer/supervised/ranking_gradient.h"
#include "trainer/supervised/round_states.h"
#include "trainer/supervised/rounds.h"
#include "trainer/traces/shared_traces.h"
#include "trainer/training/training_session.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {
namespace {

/// The mean loss and overlap of a step's samples, whose gradient is left in the scorer's weights: a trace is
/// a unit, and units are dealt to ranks.
RankingFigures gradient_of_step(const Scorer& scorer, const StateSource& states,
                                const std::vector<RecordedTrace>& traces,
                                const std::vector<TraceSample>& samples, const Config& config,
                                std::int64_t step, World& world) {
  const auto all = static_cast<double>(evictions_of(samples));
  std::vector<std::int64_t> costs;
  for (const TraceSample& sample : samples)
    costs.push_back(static_cast<std::int64_t>(sample.evictions.size()));
  UnitGradients gradients(world, scorer.parameters(), deal(costs, world.size()), sum_order(config));
  const auto work = [&](std::size_t u) {
    const TraceSample& sample = samples[u];
    const std::string where =
        concat("supervised: step ", step + 1, ", trace ", traces[static_cast<std::size_t>(sample.trace)].id);
    RankingGradient gradient(scorer, config.supervised.margin, config.supervised.pair_weight,
                             config.eviction.window);
    states.visit(sample.trace, sample.evictions, [&](const RankedStates& some) {
      gradient.add(some, where);
      world.tick();
    });
    const RankingFigures found = gradient.finish(static_cast<double>(costs[u]) / all);
    gradients.add_unit(where);
    return pack_tensors({torch::tensor({found.loss, found.overlap}, torch::kFloat64)});
  };
  RankingFigures figures;
  for (const std::string& unit : map_units(world, costs, work, "losses of a step")) {
    const torch::Tensor found = unpack_tensors(unit).front();
    figures.loss += found[0].item<double>();
    figures.overlap += found[1].item<double>();
  }
  gradients.set_summed_gradients();
  return figures;
}

/// The scorer that training starts from.
Scorer initial_scorer(const Config& config, const Transformer& model, const ScorerFacts& facts) {
  if (config.scorer.initial.empty()) {
    const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
    return Scorer::random(model.shape(), facts, RandomStream(seed, "scorer weights"));
  }
  return load_initial_scorer(config, model.shape());
}

void remove_features(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) throw_resource("cannot remove", folder, error.value());
}

}  // namespace

Scorer load_initial_scorer(const Config& config, const ModelShape& shape) {
  Scorer scorer = Scorer::load(config.scorer.initial, shape);
  require_features("scorer.initial " + config.scorer.initial, scorer.facts(), config.scorer.features);
  return scorer;
}

void train_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                      const Validation& validation, World& world) {
  const SupervisedConfig& stage = config.supervised;
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const RunFolder run{config.output};
  const ScorerFacts facts = scorer_facts(config, model.fingerprint(), model.dtype_name());
  const auto traces = load_shared_traces(world, run.oracle(), "train", config.data.max_train_traces,
                                         model.fingerprint(), tokenizer.fingerprint());
  Scorer initial = initial_scorer(config, model, facts);
  TrainingInputs inputs = training_inputs({.model = model.fingerprint(),
                                           .tokenizer = tokenizer.fingerprint(),
                                           .training_traces = traces_fingerprint(traces),
                                           .validation_traces = validation.fingerprint()});
  if (!config.scorer.initial.empty()) inputs["initial scorer"] = initial.fingerprint();
  TrainingStart start(config, Stage::kSupervised, std::move(inputs), world);
  if (start.finished_before()) {
    if (!stage.keep_features && world.leads()) remove_features(run.features());
    return start.log_best();
  }
  const RoundStates replays(config, model, traces, world);
  std::unique_ptr<StateSource> states;  // of round `open`
  std::int64_t open = -1;
  if (config.scorer.initial.empty() && facts.features != ScorerFeatures::kReleased &&
      !start.checkpoint_to_resume()) {
    const auto budgets = static_cast<std::int64_t>(stage.budgets.size());
    states = replays.golden();
    open = 0;
    fit_normalisation(initial, *states, std::max<std::int64_t>(4, budgets),  // each budget has a trace
                      2 * model.shape().head_dimension, world);
  }
  warn_if_made_for_other("supervised: scorer.initial", initial.facts(), config.eviction, model.fingerprint());
  initial.facts() = facts;
  TrainingSession session(std::move(start), initial.to(model.options().device));

  while (!session.finished()) {
    const auto started = std::chrono::steady_clock::now();
    const Round round = round_of_step(stage, session.step());
    if (round.index != open) {
      states = nullptr;  // its files are replaced
      states = replays.of_round(round, session);
      open = round.index;
    }
    const std::vector<TraceSample> samples = samples_of_step(
        session.step(), stage.traces_per_step, stage.evictions_per_trace, states->evictions(), seed);
    const RankingFigures figures =
        gradient_of_step(session.scorer(), *states, traces, samples, config, session.step(), world);
    const double learning_rate = learning_rate_of_step(stage, session.step());
    const double gradient_norm = session.update(learning_rate, stage.gradient_clip);

    nlohmann::ordered_json metrics = {{"step", session.step()},
                                      {"round", round.index},
                                      {"loss", figures.loss},
                                      {"grad_norm", gradient_norm},
                                      {"learning_rate", learning_rate},
                                      {"oracle_overlap", figures.overlap},
                                      {"evictions", evictions_of(samples)}};
    std::optional<double> rise;
    if (session.evaluation_due()) {
      if (const auto measured = validation.measure(session.scorer(), metrics)) rise = measured->loss_rise;
    }
    metrics["step_time"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    session.end_step(metrics, {"loss", "oracle_overlap", "grad_norm", "eval_loss_rise"}, rise);
  }
  if (!stage.keep_features && world.leads()) remove_features(run.features());
  world.barrier("supervised ends");
  session.log_best();
}

}  // namespace foresight
