#include "rl/grpo_stage.h"

#include <chrono>
#include <cmath>
#include <map>

#include "rl/credit.h"
#include "rl/policy_terms.h"
#include "rl/rollout.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/validation.h"
#include "trainer/training/schedule.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

/// Rollouts of traces of one length with the advantage of every action.
struct Batch {
  Rollouts rollouts;
  torch::Tensor advantages;  // [S, R]
};

/// Figures of one step, averaged over its traces.
struct StepFigures {
  double reward = 0, reward_std = 0, frac_reward_zero_std = 0, loss_rise = 0, low_entropy_loss_rise = 0,
         large_rise_share = 0;
};

struct UpdateFigures {
  double loss = 0, kl = 0, clip_ratio = 0, gradient_norm = 0;
};

/// Rollouts and advantages of this step's traces; traces of one length run together.
std::vector<Batch> collect(const Transformer& model, const std::vector<RecordedTrace>& traces,
                           const std::vector<std::int64_t>& chosen, const Scorer& scorer,
                           const Config& config, std::int64_t step, StepFigures& figures) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  std::map<std::int64_t, std::vector<const RecordedTrace*>> by_length;
  for (const std::int64_t index : chosen) {
    const RecordedTrace& trace = traces[static_cast<std::size_t>(index)];
    by_length[trace.length()].push_back(&trace);
  }
  std::vector<Batch> batches;
  const auto share = 1.0 / static_cast<double>(chosen.size());
  for (const auto& [length, group] : by_length) {
    Batch batch;
    batch.rollouts = run_rollouts(model, group, scorer, config.grpo, size,
                                  static_cast<std::uint64_t>(config.runtime.seed), step);
    const auto count = static_cast<std::int64_t>(group.size());
    batch.advantages = torch::empty({size.steps(length), count * config.grpo.group_size});
    for (std::int64_t n = 0; n < count; ++n) {
      // Row c * N + n is copy c of trace n: a trace's group is every N-th row.
      const auto own = [&](const torch::Tensor& rows) {
        return rows.defined() ? rows.slice(0, n, torch::nullopt, count) : rows;
      };
      const GroupCredit credit = group_credit(own(batch.rollouts.losses), own(batch.rollouts.divergence),
                                              *group[static_cast<std::size_t>(n)], config.grpo, size);
      batch.advantages.slice(1, n, torch::nullopt, count).copy_(credit.advantages);
      figures.reward += share * credit.rewards.mean().item<double>();
      figures.reward_std += share * credit.rewards.std(/*unbiased=*/false).item<double>();
      figures.frac_reward_zero_std += share * (credit.without_signal ? 1.0 : 0.0);
      figures.loss_rise += share * credit.loss_rise;
      figures.low_entropy_loss_rise += share * credit.low_entropy_loss_rise;
      figures.large_rise_share += share * credit.large_rise_share;
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

/// Gradient of the GRPO objective in the scorer's weights: mean over batches (by rollouts), layers, steps,
/// heads. `old` [batch][layer]: the behaviour policy's log-likelihoods; empty on the first update, when they
/// are the current ones.
UpdateFigures accumulate_gradients(const Scorer& scorer, const Scorer& reference,
                                   const std::vector<Batch>& batches, const GrpoConfig& config,
                                   double kl_weight, std::vector<std::vector<torch::Tensor>>& old) {
  UpdateFigures figures;
  double rows = 0;
  for (const Batch& batch : batches) rows += static_cast<double>(batch.advantages.size(1));
  const bool first_update = old.empty();
  if (first_update) old.resize(batches.size());
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const Batch& batch = batches[b];
    const double weight =
        static_cast<double>(batch.advantages.size(1)) / rows / static_cast<double>(scorer.layers());
    for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
      const LayerActions& actions = batch.rollouts.layers[static_cast<std::size_t>(layer)];
      const torch::Tensor current =
          draw_log_likelihood(scorer, layer, actions, config);  // [S, R, K] or [S, R, K, W]
      if (first_update) old[b].push_back(current.detach());
      const torch::Tensor& before = old[b][static_cast<std::size_t>(layer)];
      torch::Tensor advantages = batch.advantages.unsqueeze(-1);  // [S, R, 1]
      if (current.dim() == 4) advantages = advantages.unsqueeze(-1);
      torch::Tensor loss = clipped_policy_loss(current, before, advantages, config.clip_range).mean();
      torch::Tensor from_start;
      {
        const torch::NoGradGuard no_grad;
        from_start = draw_log_likelihood(reference, layer, actions, config);
      }
      const torch::Tensor kl = kl_k3(current, from_start).mean();
      if (kl_weight > 0) loss = loss + kl_weight * kl;
      (loss * weight).backward();
      figures.loss += weight * loss.item<double>();
      figures.kl += weight * kl.item<double>();
      figures.clip_ratio +=
          weight * clipped_share(current.detach(), before, advantages, config.clip_range).region_mean;
    }
  }
  return figures;
}

Scorer starting_scorer(const Config& config, const Transformer& model) {
  const std::filesystem::path file = config.grpo.start.empty() ? best_scorer_file(config.output, "supervised")
                                                               : std::filesystem::path(config.grpo.start);
  log_info("grpo: starting from " + file.string());
  Scorer scorer = Scorer::load(file, model.shape());
  const ScorerFeatures kind = scorer.facts().features;
  scorer.facts() = scorer_facts(config, model.fingerprint(), model.dtype_name());
  scorer.facts().features = kind;
  return scorer;
}

void warn_without_signal(const StepFigures& figures, std::int64_t step) {
  if (figures.frac_reward_zero_std != 1.0) return;
  log_warning(concat("grpo: no group of step ", step + 1,
                     " carries a signal (all rewards equal): lower grpo.reward_threshold_nats, raise "
                     "grpo.temperature, or take grpo.reward=mean_rise"));
}

/// The row of metrics.jsonl.
nlohmann::ordered_json step_metrics(std::int64_t step, const StepFigures& figures,
                                    const UpdateFigures& update, double learning_rate, double kl_weight,
                                    std::int64_t rollout_tokens, double rollout_s) {
  return {{"step", step},
          {"loss", update.loss},
          {"reward", figures.reward},
          {"reward_std", figures.reward_std},
          {"frac_reward_zero_std", figures.frac_reward_zero_std},
          {"kl", update.kl},
          {"kl_weight", kl_weight},
          {"clip_ratio", update.clip_ratio},
          {"grad_norm", update.gradient_norm},
          {"learning_rate", learning_rate},
          {"loss_rise", figures.loss_rise},
          {"low_entropy_loss_rise", figures.low_entropy_loss_rise},
          {"large_rise_share", figures.large_rise_share},
          {"num_tokens", rollout_tokens},
          {"tokens_per_second", static_cast<double>(rollout_tokens) / rollout_s}};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void run_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer) {
  const GrpoConfig& stage = config.grpo;
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const auto traces =
      load_recorded_traces(std::filesystem::path(config.output) / "oracle", "train",
                           config.data.max_train_traces, model.fingerprint(), tokenizer.fingerprint());
  const Validation validation(config, model, tokenizer);
  const Scorer reference = starting_scorer(config, model);
  TrainingSession session(config, "grpo", stage.checkpoint, stage.steps, stage.learning_rate, reference);
  if (!session.resumed() && !session.finished()) {
    nlohmann::ordered_json metrics = {{"step", 0}};
    if (const auto start = validation.measure(reference, metrics)) {
      session.record(metrics, {"eval_low_entropy_loss_rise"});
      session.save(start->low_entropy_loss_rise);  // the start may stay the best
    }
  }

  while (!session.finished()) {
    const auto started = std::chrono::steady_clock::now();
    const std::int64_t step = session.step();
    const auto chosen = items_of_step(step, stage.traces_per_step, static_cast<std::int64_t>(traces.size()),
                                      seed, "grpo trace order");
    StepFigures figures;
    const std::vector<Batch> batches =
        collect(model, traces, chosen, session.scorer(), config, step, figures);
    const double rollout_s = seconds_since(started);
    warn_without_signal(figures, step);

    const double learning_rate = stage.learning_rate * schedule_factor(stage.learning_rate_schedule, step,
                                                                       stage.steps, stage.warmup_steps);
    const double kl_weight = stage.kl_weight * schedule_factor(stage.kl_schedule, step, stage.steps, 0);
    std::vector<std::vector<torch::Tensor>> old;
    UpdateFigures update;
    for (std::int64_t i = 0; i < stage.updates_per_batch; ++i) {
      update = accumulate_gradients(session.scorer(), reference, batches, stage, kl_weight, old);
      update.gradient_norm =
          session.update(learning_rate, stage.gradient_clip, i + 1 == stage.updates_per_batch);
    }

    std::int64_t tokens = 0;
    for (const Batch& batch : batches) tokens += batch.rollouts.losses.numel();
    auto metrics = step_metrics(step + 1, figures, update, learning_rate, kl_weight, tokens, rollout_s);
    std::optional<double> rise;
    if (session.evaluation_due()) {
      if (const auto measured = validation.measure(session.scorer(), metrics))
        rise = measured->low_entropy_loss_rise;
    }
    metrics["step_time"] = seconds_since(started);
    session.end_step(
        metrics, {"reward", "kl", "low_entropy_loss_rise", "grad_norm", "eval_low_entropy_loss_rise"}, rise);
  }
  log_info(concat("grpo: best checkpoint ", session.best().string()));
}

}  // namespace foresight
