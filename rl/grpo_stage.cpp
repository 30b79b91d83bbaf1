#include "rl/grpo_stage.h"

#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "rl/grpo_step.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/comm/agreement.h"
#include "trainer/traces/shared_traces.h"
#include "trainer/training/schedule.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

Scorer starting_scorer(const Config& config, const Transformer& model, World& world) {
  const auto find = [&]() -> std::vector<std::filesystem::path> {
    if (!config.grpo.start.empty()) return {config.grpo.start};
    return {best_scorer_file(config.output, Stage::kSupervised)};
  };
  const std::filesystem::path file = files_of_lead(world, find, "starting scorer").front();
  log_info("grpo: starting from " + file.string());
  Scorer scorer = Scorer::load(file, model.shape()).to(model.options().device);
  const std::string who = config.grpo.start.empty() ? "grpo: the supervised scorer" : "grpo.start";
  require_features(concat(who, " ", file.string()), scorer.facts(), config.scorer.features);
  warn_if_made_for_other("grpo: the starting scorer", scorer.facts(), config.eviction, model.fingerprint());
  scorer.facts() = scorer_facts(config, model.fingerprint(), model.dtype_name());
  return scorer;
}

void warn_without_signal(const RolloutFigures& figures, const GrpoConfig& config, std::int64_t step) {
  if (figures.frac_reward_zero_std == 0.0) return;
  const auto traces = static_cast<double>(config.traces_per_step);
  log_warning(concat("grpo: ", std::lround(figures.frac_reward_zero_std * traces), " of ",
                     config.traces_per_step, " groups of step ", step + 1,
                     " carry no signal (all rewards equal): raise grpo.temperature",
                     config.reward == RewardShape::kSquaredLargeRise
                         ? ", lower grpo.reward_threshold_nats, or choose another grpo.reward"
                         : ""));
}

/// The row of metrics.jsonl.
nlohmann::ordered_json step_metrics(std::int64_t step, const RolloutFigures& figures,
                                    const UpdateFigures& update, double gradient_norm, double learning_rate,
                                    double kl_weight, double seconds) {
  return {{"step", step},
          {"loss", update.loss},
          {"reward", figures.reward},
          {"reward_std", figures.reward_std},
          {"frac_reward_zero_std", figures.frac_reward_zero_std},
          {"kl", update.kl},
          {"kl_weight", kl_weight},
          {"clip_ratio", update.clip_ratio},
          {"grad_norm", gradient_norm},
          {"learning_rate", learning_rate},
          {"loss_rise", figures.loss_rise},
          {"low_entropy_loss_rise", figures.low_entropy_loss_rise},
          {"large_rise_share", figures.large_rise_share},
          {"num_tokens", figures.tokens},
          {"tokens_per_second", static_cast<double>(figures.tokens) / seconds}};
}

std::vector<const RecordedTrace*> choose_traces(const std::vector<RecordedTrace>& traces,
                                                const GrpoConfig& config, std::uint64_t seed,
                                                std::int64_t step) {
  std::vector<const RecordedTrace*> chosen;
  for (const std::int64_t index :
       items_of_step(step, config.traces_per_step, static_cast<std::int64_t>(traces.size()), seed,
                     "grpo trace order")) {
    chosen.push_back(&traces[static_cast<std::size_t>(index)]);
  }
  return chosen;
}

/// The cache size of a step, with which each of its traces has an eviction.
CacheSize size_of_step(const Config& config, const std::vector<const RecordedTrace*>& traces,
                       std::int64_t step) {
  std::int64_t shortest = traces.front()->length();
  for (const RecordedTrace* trace : traces) shortest = std::min(shortest, trace->length());
  return size_of_turn(config.eviction, config.grpo.budgets, shortest, step);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void train_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const Validation& validation, World& world) {
  const GrpoConfig& stage = config.grpo;
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const auto traces =
      load_shared_traces(world, RunFolder{config.output}.oracle(), "train", config.data.max_train_traces,
                         model.fingerprint(), tokenizer.fingerprint());
  const Scorer reference = starting_scorer(config, model, world);
  TrainingInputs inputs = training_inputs({.model = model.fingerprint(),
                                           .tokenizer = tokenizer.fingerprint(),
                                           .training_traces = traces_fingerprint(traces),
                                           .validation_traces = validation.fingerprint()});
  inputs["starting scorer"] = reference.fingerprint();
  TrainingSession session(TrainingStart(config, Stage::kGrpo, std::move(inputs), world), reference);
  if (!session.resumed() && !session.finished()) {
    nlohmann::ordered_json metrics = {{"step", 0}};
    if (const auto start = validation.measure(reference, metrics)) {
      session.record(metrics, {"eval_low_entropy_loss_rise"});
      session.save(start->low_entropy_loss_rise);  // the start may remain the best checkpoint
    }
  }

  const bool one_pass = one_pass_applies(stage);
  while (!session.finished()) {
    const auto started = std::chrono::steady_clock::now();
    const std::int64_t done = session.step();
    const double learning_rate = stage.learning_rate * schedule_factor(stage.learning_rate_schedule, done,
                                                                       stage.steps, stage.warmup_steps);
    const double kl_weight = stage.kl_weight * schedule_factor(stage.kl_schedule, done, stage.steps, 0);
    const auto chosen = choose_traces(traces, stage, seed, done);
    const GrpoStep step{&model,    &config,   size_of_step(config, chosen, done), chosen, done,
                        kl_weight, &reference};
    RolloutFigures figures;
    UpdateFigures update;
    double gradient_norm = 0;
    if (one_pass) {
      one_pass_gradient(step, session.scorer(), figures, update, world);
      gradient_norm = session.update(learning_rate, stage.gradient_clip);
    } else {
      const Scorer behaviour = session.scorer().clone();
      const DrawnRollouts rollouts = roll_out(step, behaviour, world);
      figures = rollouts.figures;
      for (std::int64_t i = 1; i <= stage.updates_per_batch; ++i) {
        update = replayed_gradient(step, rollouts, behaviour, session.scorer(), world);
        gradient_norm = session.update(learning_rate, stage.gradient_clip, i == stage.updates_per_batch);
      }
    }
    if (world.leads()) warn_without_signal(figures, stage, done);

    auto metrics = step_metrics(done + 1, figures, update, gradient_norm, learning_rate, kl_weight,
                                seconds_since(started));
    if (!stage.budgets.empty()) metrics["budget"] = step.size.budget;
    std::optional<double> rise;
    if (session.evaluation_due()) {
      if (const auto measured = validation.measure(session.scorer(), metrics))
        rise = measured->low_entropy_loss_rise;
    }
    metrics["step_time"] = seconds_since(started);
    session.end_step(
        metrics, {"reward", "kl", "low_entropy_loss_rise", "grad_norm", "eval_low_entropy_loss_rise"}, rise);
  }
  session.log_best();
}

}  // namespace foresight
