#include "rl/grpo_stage.h"

#include <torch/utils.h>

#include <chrono>
#include <cmath>

#include "rl/credit.h"
#include "rl/policy_terms.h"
#include "rl/rollout.h"
#include "rl/rollout_units.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/validation.h"
#include "trainer/model/tensor_io.h"
#include "trainer/training/schedule.h"
#include "trainer/training/training_session.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {
namespace {

/// A unit of rollouts of this rank with the advantage of every action.
struct Batch {
  std::vector<const RecordedTrace*> traces;
  Rollouts rollouts;
  torch::Tensor advantages;  // [S, R]
};

/// A step's rollouts: how they are cut and dealt, and those of this rank.
struct Collected {
  std::vector<RolloutUnit> units;
  std::vector<int> rank_of;
  std::vector<Batch> own;
  std::int64_t tokens = 0;  // of all ranks
};

/// Figures of one step, averaged over its traces.
struct StepFigures {
  double reward = 0, reward_std = 0, frac_reward_zero_std = 0, loss_rise = 0, low_entropy_loss_rise = 0,
         large_rise_share = 0;
};

struct UpdateFigures {
  double loss = 0, kl = 0, clip_ratio = 0, gradient_norm = 0;
};

/// Losses and divergences of each trace's whole group [G, L], from the units of all ranks.
struct Groups {
  std::vector<std::vector<torch::Tensor>> losses, divergence;  // by trace, then by unit
};

std::vector<std::string> ids_of(const std::vector<const RecordedTrace*>& traces) {
  std::vector<std::string> ids;
  for (const RecordedTrace* trace : traces) ids.push_back(trace->id);
  return ids;
}

/// Row c * N + n of a unit is copy c of its trace n: a trace's copies are every N-th row.
torch::Tensor rows_of_trace(const torch::Tensor& rows, std::size_t n, std::size_t traces,
                            std::int64_t dim = 0) {
  return rows.slice(dim, static_cast<std::int64_t>(n), torch::nullopt, static_cast<std::int64_t>(traces));
}

/// Runs this rank's units and shares their losses, so that every rank can judge whole groups.
Groups run_units(const Transformer& model, const std::vector<const RecordedTrace*>& chosen,
                 const Scorer& scorer, const Config& config, std::int64_t step, Collected& collected,
                 World& world) {
  const CacheSize size{config.eviction.budget, config.eviction.window};
  std::vector<std::string> own;
  for (std::size_t u = 0; u < collected.units.size(); ++u) {
    const RolloutUnit& unit = collected.units[u];
    if (collected.rank_of[u] != world.rank()) continue;
    Batch batch;
    for (const std::size_t place : unit.traces) batch.traces.push_back(chosen[place]);
    batch.rollouts = run_rollouts(
        model, batch.traces, scorer, config.grpo, size, static_cast<std::uint64_t>(config.runtime.seed), step,
        [&](std::int64_t /*tokens*/) { world.tick(); }, {unit.first_copy, unit.copies});
    own.push_back(pack_tensors({batch.rollouts.losses, batch.rollouts.divergence}));
    collected.own.push_back(std::move(batch));
  }
  Groups groups{std::vector<std::vector<torch::Tensor>>(chosen.size()),
                std::vector<std::vector<torch::Tensor>>(chosen.size())};
  const auto shared = share_units(world, collected.rank_of, own, "losses of rollouts");
  for (std::size_t u = 0; u < shared.size(); ++u) {
    const auto tensors = unpack_tensors(shared[u]);
    const std::vector<std::size_t>& places = collected.units[u].traces;
    collected.tokens += tensors[0].numel();
    for (std::size_t n = 0; n < places.size(); ++n) {
      groups.losses[places[n]].push_back(rows_of_trace(tensors[0], n, places.size()));
      if (tensors[1].defined())
        groups.divergence[places[n]].push_back(rows_of_trace(tensors[1], n, places.size()));
    }
  }
  return groups;
}

/// Rollouts and advantages of this step's traces, dealt out to ranks.
Collected collect(const Transformer& model, const std::vector<const RecordedTrace*>& chosen,
                  const Scorer& scorer, const Config& config, std::int64_t step, StepFigures& figures,
                  World& world) {
  std::vector<std::int64_t> lengths, costs;
  for (const RecordedTrace* trace : chosen) lengths.push_back(trace->length());
  Collected collected;
  collected.units = rollout_units(lengths, config.grpo.group_size, config.grpo.rollouts_per_pass);
  for (const RolloutUnit& unit : collected.units) costs.push_back(unit.rows() * lengths[unit.traces.front()]);
  collected.rank_of = deal(costs, world.size());
  const Groups groups = run_units(model, chosen, scorer, config, step, collected, world);

  const CacheSize size{config.eviction.budget, config.eviction.window};
  const auto share = 1.0 / static_cast<double>(chosen.size());
  std::vector<torch::Tensor> advantages;  // by trace: [S, G]
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const auto whole = [](const std::vector<torch::Tensor>& parts) {
      return parts.empty() ? torch::Tensor() : torch::cat(parts);
    };
    const GroupCredit credit = group_credit(whole(groups.losses[i]), whole(groups.divergence[i]), *chosen[i],
                                            config.grpo, size, step);
    advantages.push_back(credit.advantages);
    figures.reward += share * credit.rewards.mean().item<double>();
    figures.reward_std += share * credit.rewards.std(/*unbiased=*/false).item<double>();
    figures.frac_reward_zero_std += share * (credit.without_signal ? 1.0 : 0.0);
    figures.loss_rise += share * credit.loss_rise;
    figures.low_entropy_loss_rise += share * credit.low_entropy_loss_rise;
    figures.large_rise_share += share * credit.large_rise_share;
  }
  auto batch = collected.own.begin();
  for (std::size_t u = 0; u < collected.units.size(); ++u) {
    if (collected.rank_of[u] != world.rank()) continue;
    const RolloutUnit& unit = collected.units[u];
    batch->advantages = torch::empty({size.steps(lengths[unit.traces.front()]), unit.rows()});
    for (std::size_t n = 0; n < unit.traces.size(); ++n) {
      const torch::Tensor own = advantages[unit.traces[n]].narrow(1, unit.first_copy, unit.copies);
      rows_of_trace(batch->advantages, n, unit.traces.size(), /*dim=*/1).copy_(own);
    }
    ++batch;
  }
  return collected;
}

/// Gradient of the GRPO objective of one unit in the scorer's weights, times `weight`: mean over layers,
/// steps, rollouts, heads. `old` [layer]: the behaviour policy's log-likelihoods; empty on the first update,
/// when they are the current ones.
UpdateFigures accumulate_gradients(const Scorer& scorer, const Scorer& reference, const Batch& batch,
                                   const GrpoConfig& config, double kl_weight, double weight,
                                   std::vector<torch::Tensor>& old) {
  UpdateFigures figures;
  const double layer_weight = weight / static_cast<double>(scorer.layers());
  const bool first_update = old.empty();
  for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
    const LayerActions& actions = batch.rollouts.layers[static_cast<std::size_t>(layer)];
    const torch::Tensor current =
        draw_log_likelihood(scorer, layer, actions, config);  // [S, R, K] or [S, R, K, W]
    if (first_update) old.push_back(current.detach());
    const torch::Tensor& before = old[static_cast<std::size_t>(layer)];
    torch::Tensor advantages = to_device(batch.advantages, current.device()).unsqueeze(-1);  // [S, R, 1]
    if (current.dim() == 4) advantages = advantages.unsqueeze(-1);
    torch::Tensor loss = clipped_policy_loss(current, before, advantages, config.clip_range).mean();
    torch::Tensor from_start;
    {
      const torch::NoGradGuard no_grad;
      from_start = draw_log_likelihood(reference, layer, actions, config);
    }
    const torch::Tensor kl = kl_k3(current, from_start).mean();
    if (kl_weight > 0) loss = loss + kl_weight * kl;
    (loss * layer_weight).backward();
    figures.loss += layer_weight * loss.item<double>();
    figures.kl += layer_weight * kl.item<double>();
    figures.clip_ratio +=
        layer_weight * clipped_share(current.detach(), before, advantages, config.clip_range).region_mean;
  }
  return figures;
}

/// The gradient of a whole step in the scorer's weights, from the units of all ranks, weighted by their
/// rollouts. `old` [own unit][layer], as above.
UpdateFigures gradients_of_step(const Scorer& scorer, const Scorer& reference, const Collected& collected,
                                const Config& config, std::int64_t step, double kl_weight,
                                std::vector<std::vector<torch::Tensor>>& old, World& world) {
  double rows = 0;
  for (const RolloutUnit& unit : collected.units) rows += static_cast<double>(unit.rows());
  old.resize(collected.own.size());
  UnitGradients gradients(world, scorer.parameters(), collected.rank_of, sum_order(config));
  std::vector<std::string> own;
  for (std::size_t b = 0; b < collected.own.size(); ++b) {
    const Batch& batch = collected.own[b];
    const double weight = static_cast<double>(batch.advantages.size(1)) / rows;
    const UpdateFigures found =
        accumulate_gradients(scorer, reference, batch, config.grpo, kl_weight, weight, old[b]);
    gradients.add_unit(concat("grpo: step ", step + 1, ", rollouts of ", join(ids_of(batch.traces), ", ")));
    own.push_back(pack_tensors({torch::tensor({found.loss, found.kl, found.clip_ratio}, torch::kFloat64)}));
    world.tick();
  }
  gradients.set_summed_gradients();
  UpdateFigures figures;
  for (const std::string& unit : share_units(world, collected.rank_of, own, "figures of an update")) {
    const torch::Tensor found = unpack_tensors(unit).front();
    figures.loss += found[0].item<double>();
    figures.kl += found[1].item<double>();
    figures.clip_ratio += found[2].item<double>();
  }
  return figures;
}

Scorer starting_scorer(const Config& config, const Transformer& model) {
  const std::filesystem::path file = config.grpo.start.empty()
                                         ? best_scorer_file(config.output, Stage::kSupervised)
                                         : std::filesystem::path(config.grpo.start);
  log_info("grpo: starting from " + file.string());
  Scorer scorer = Scorer::load(file, model.shape()).to(model.options().device);
  const ScorerFeatures kind = scorer.facts().features;
  scorer.facts() = scorer_facts(config, model.fingerprint(), model.dtype_name());
  scorer.facts().features = kind;
  return scorer;
}

void warn_without_signal(const StepFigures& figures, const GrpoConfig& config, std::int64_t step) {
  if (figures.frac_reward_zero_std == 0.0) return;
  const auto traces = static_cast<double>(config.traces_per_step);
  log_warning(concat("grpo: ", std::lround(figures.frac_reward_zero_std * traces), " of ",
                     config.traces_per_step, " groups of step ", step + 1,
                     " carry no signal (all rewards equal): raise grpo.temperature",
                     config.reward == RewardShape::kSquaredLargeRise
                         ? ", lower grpo.reward_threshold_nats, or take another grpo.reward"
                         : ""));
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

void run_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world) {
  const GrpoConfig& stage = config.grpo;
  const auto seed = static_cast<std::uint64_t>(config.runtime.seed);
  const auto traces =
      load_recorded_traces(RunFolder{config.output}.oracle(), "train", config.data.max_train_traces,
                           model.fingerprint(), tokenizer.fingerprint());
  const Validation validation(config, model, tokenizer, world);
  const Scorer reference = starting_scorer(config, model);
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
      session.save(start->low_entropy_loss_rise);  // the start may stay the best
    }
  }

  while (!session.finished()) {
    const auto started = std::chrono::steady_clock::now();
    const std::int64_t step = session.step();
    std::vector<const RecordedTrace*> chosen;
    for (const std::int64_t index :
         items_of_step(step, stage.traces_per_step, static_cast<std::int64_t>(traces.size()), seed,
                       "grpo trace order")) {
      chosen.push_back(&traces[static_cast<std::size_t>(index)]);
    }
    StepFigures figures;
    const Collected collected = collect(model, chosen, session.scorer(), config, step, figures, world);
    const double rollout_s = seconds_since(started);
    if (world.leads()) warn_without_signal(figures, stage, step);

    const double learning_rate = stage.learning_rate * schedule_factor(stage.learning_rate_schedule, step,
                                                                       stage.steps, stage.warmup_steps);
    const double kl_weight = stage.kl_weight * schedule_factor(stage.kl_schedule, step, stage.steps, 0);
    std::vector<std::vector<torch::Tensor>> old;
    UpdateFigures update;
    for (std::int64_t i = 0; i < stage.updates_per_batch; ++i) {
      update = gradients_of_step(session.scorer(), reference, collected, config, step, kl_weight, old, world);
      update.gradient_norm =
          session.update(learning_rate, stage.gradient_clip, i + 1 == stage.updates_per_batch);
    }

    auto metrics =
        step_metrics(step + 1, figures, update, learning_rate, kl_weight, collected.tokens, rollout_s);
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
