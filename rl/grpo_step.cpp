#include "rl/grpo_step.h"

#include <torch/utils.h>

#include "rl/eligibility_traces.h"
#include "rl/policy_terms.h"
#include "rl/rewards.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {
namespace {

PolicyOptions policy_options(const GrpoConfig& config) {
  return {config.temperature, config.shortlist_windows, config.likelihood};
}

CreditOptions credit_options(const GrpoConfig& config) {
  return {.reward = config.reward,
          .threshold_nats = config.reward_threshold_nats,
          .clamp_low_nats = config.reward_clamp_low_nats,
          .clamp_high_nats = config.reward_clamp_high_nats,
          .tokens = config.reward_tokens,
          .low_entropy_share = config.low_entropy_share,
          .credit = config.credit,
          .discount = config.credit_discount,
          .scale = config.advantage};
}

bool compares(const GrpoConfig& config) {
  return config.reward == RewardShape::kExpectedRise;
}

std::vector<RolloutUnit> units_of(const GrpoStep& step) {
  std::vector<std::int64_t> lengths;
  for (const RecordedTrace* trace : step.traces) lengths.push_back(trace->length());
  return rollout_units(lengths, step.config->grpo.group_size, step.config->grpo.rollouts_per_pass);
}

std::vector<std::int64_t> costs_of(const GrpoStep& step, const std::vector<RolloutUnit>& units) {
  std::vector<std::int64_t> costs;
  for (const RolloutUnit& unit : units)
    costs.push_back(unit.rows() * step.traces[unit.traces.front()]->length());
  return costs;
}

RolloutBatch batch_of(const GrpoStep& step, const RolloutUnit& unit) {
  RolloutBatch batch{.traces = {},
                     .rows = {.traces = static_cast<std::int64_t>(unit.traces.size()), .copies = unit.copies},
                     .first_copy = unit.first_copy,
                     .seed = static_cast<std::uint64_t>(step.config->runtime.seed),
                     .step = step.step};
  for (const std::size_t place : unit.traces) batch.traces.push_back(step.traces[place]);
  return batch;
}

std::string where(const GrpoStep& step, const RolloutBatch& batch) {
  std::vector<std::string> ids;
  for (const RecordedTrace* trace : batch.traces) ids.push_back(trace->id);
  return concat("grpo: step ", step.step + 1, ", rollouts of ", join(ids, ", "));
}

/// The weight of each action of a unit in the mean over layers, evictions, rollouts of the step and KV heads.
double action_weight(const GrpoStep& step, const RolloutBatch& batch) {
  const ModelShape& shape = step.model->shape();
  const auto rollouts = static_cast<std::int64_t>(step.traces.size()) * step.config->grpo.group_size;
  const std::int64_t evictions = step.size.steps(batch.traces.front()->length());
  return 1.0 / static_cast<double>(shape.evicting_layers() * shape.kv_heads * evictions * rollouts);
}

/// Adds one trace's group to the averages of the step.
void add_group(RolloutFigures& figures, const GroupCredit& credit, std::int64_t traces) {
  const double share = 1.0 / static_cast<double>(traces);
  figures.reward += share * credit.rewards.mean().item<double>();
  figures.reward_std += share * credit.rewards.std(/*unbiased=*/false).item<double>();
  figures.frac_reward_zero_std += share * (credit.without_signal ? 1.0 : 0.0);
  figures.loss_rise += share * credit.loss_rise;
  figures.low_entropy_loss_rise += share * credit.low_entropy_loss_rise;
  figures.large_rise_share += share * credit.large_rise_share;
}

torch::Tensor rows_of(const RolloutBatch& batch, const torch::Tensor& values, std::size_t trace) {
  return values.defined() ? batch.rows.of_trace(values, static_cast<std::int64_t>(trace)) : values;
}

/// What rewards are of, on the device of the losses, so that a GPU need not be waited for in every window.
struct Rewarded {
  std::vector<torch::Tensor> masks;   // [L] bool of each trace
  std::vector<torch::Tensor> losses;  // [L] of each trace, full KV
};

Rewarded rewarded_of(const RolloutBatch& batch, const CacheSize& size, const CreditOptions& options,
                     const torch::Device& device) {
  Rewarded rewarded;
  for (const RecordedTrace* trace : batch.traces) {
    rewarded.masks.push_back(to_device(rewarded_tokens(*trace, size, options), device));
    rewarded.losses.push_back(to_device(trace->loss, device));
  }
  return rewarded;
}

/// Rewards [R] of the actions before this window; undefined for the prefix.
torch::Tensor window_rewards_of(const RolloutBatch& batch, const Rewarded& rewarded,
                                const CreditOptions& options, const EvictedWindow& window) {
  if (window.count == 0) return {};
  torch::Tensor rewards = torch::empty({batch.rows.rows()}, window.loss.options());
  for (std::size_t n = 0; n < batch.traces.size(); ++n) {
    const auto here = [&](const torch::Tensor& whole) { return whole.narrow(0, window.first, window.count); };
    const torch::Tensor rise = rows_of(batch, window.loss, n) - here(rewarded.losses[n]).unsqueeze(0);
    const torch::Tensor cost = token_cost(rise, rows_of(batch, window.divergence, n), options);
    rows_of(batch, rewards, n).copy_(trace_rewards(cost, here(rewarded.masks[n])));
  }
  return rewards;
}

/// The results of a unit in one pass: figures of its update, and the losses of its rollouts.
struct UnitPass {
  UpdateFigures update;
  EvictedPass losses;
};

/// Runs one unit of whole groups and leaves its share of the gradient in the weights of `scorer`.
UnitPass run_unit(const GrpoStep& step, const RolloutBatch& batch, const Scorer& scorer, World& world) {
  const Config& config = *step.config;
  const CreditOptions options = credit_options(config.grpo);
  EligibilityTraces traces(scorer, *step.reference, policy_options(config.grpo), batch.rows,
                           config.grpo.credit_discount);
  const Rewarded rewarded = rewarded_of(batch, step.size, options, step.model->options().device);
  const EvictionSelector select = policy_selector(
      scorer, policy_options(config.grpo), sampled_draws(batch),
      [&](const EvictionView& view, const PolicyChoice& choice) { traces.act(view.layer, choice); });
  UnitPass pass{.update = {},
                .losses = run_rollouts(
                    *step.model, batch, step.size, select, compares(config.grpo),
                    [&](const EvictedWindow& window) {
                      traces.reward(window_rewards_of(batch, rewarded, options, window));
                    },
                    [&](std::int64_t /*tokens*/) { world.tick(); })};

  const double weight = action_weight(step, batch);
  std::vector<double> scale;  // of each trace's credit gradient
  for (std::size_t n = 0; n < batch.traces.size(); ++n) {
    const GroupCredit credit =
        group_credit(rows_of(batch, pass.losses.losses, n), rows_of(batch, pass.losses.divergence, n),
                     *batch.traces[n], options, step.size, step.step);
    scale.push_back(-weight / credit.deviation);
  }
  Scorer learner = scorer;  // shares the weights
  const torch::Tensor scales =
      torch::tensor(scale, torch::TensorOptions().device(scorer.device())).unsqueeze(1);
  for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
    const torch::Tensor of_policy = (traces.credit_gradient(layer) * scales).sum(0);  // [P]
    learner.add_layer_gradient(layer,
                               of_policy.add(traces.divergence_gradient(layer), step.kl_weight * weight));
  }
  pass.update.kl = weight * traces.divergence();
  pass.update.loss = step.kl_weight * pass.update.kl;  // advantages of a group sum to 0
  return pass;
}

torch::Tensor pack_figures(const UpdateFigures& update) {
  return torch::tensor({update.loss, update.kl, update.clip_ratio}, torch::kFloat64);
}

UpdateFigures unpack_figures(const torch::Tensor& packed) {
  return {.loss = packed[0].item<double>(),
          .kl = packed[1].item<double>(),
          .clip_ratio = packed[2].item<double>()};
}

/// Losses and divergences of whole groups, by trace of the step, from the results of their units.
class GroupLosses {
 public:
  explicit GroupLosses(std::size_t traces) : losses_(traces), divergence_(traces) {}

  void add(const RolloutUnit& unit, const RolloutBatch& batch, const torch::Tensor& losses,
           const torch::Tensor& divergence) {
    tokens_ += losses.numel();
    for (std::size_t n = 0; n < unit.traces.size(); ++n) {
      losses_[unit.traces[n]].push_back(rows_of(batch, losses, n));
      if (divergence.defined()) divergence_[unit.traces[n]].push_back(rows_of(batch, divergence, n));
    }
  }

  /// The credit of each trace's group, in the order of the step's traces.
  std::vector<GroupCredit> credits(const GrpoStep& step, RolloutFigures& figures) const {
    std::vector<GroupCredit> credits;
    figures.tokens = tokens_;
    for (std::size_t i = 0; i < losses_.size(); ++i) {
      const torch::Tensor divergence = divergence_[i].empty() ? torch::Tensor() : torch::cat(divergence_[i]);
      credits.push_back(group_credit(torch::cat(losses_[i]), divergence, *step.traces[i],
                                     credit_options(step.config->grpo), step.size, step.step));
      add_group(figures, credits.back(), static_cast<std::int64_t>(losses_.size()));
    }
    return credits;
  }

 private:
  std::vector<std::vector<torch::Tensor>> losses_, divergence_;  // by trace, then by unit
  std::int64_t tokens_ = 0;
};

/// The objective of one choice in a replay: its value, times `weight` differentiated into the scorer.
UpdateFigures learn_choice(const GrpoStep& step, const Scorer& behaviour, const Scorer& scorer,
                           std::int64_t layer, const PolicyChoice& choice, const torch::Tensor& advantages,
                           double weight) {
  const GrpoConfig& config = step.config->grpo;
  const PolicyOptions options = policy_options(config);
  const auto likelihood = [&](const torch::Tensor& logits) {
    return choice_log_likelihood(logits, choice.draws, options.likelihood);
  };
  torch::Tensor before, from_start;  // [R, K], or [R, K, W] with the independent likelihood
  {
    const torch::NoGradGuard no_grad;
    from_start = likelihood(choice_logits(*step.reference, layer, choice, options));
    before = likelihood(choice_logits(behaviour, layer, choice, options));
  }
  const torch::AutoGradMode with_gradients(true);
  const torch::Tensor current = likelihood(choice_logits(scorer, layer, choice, options));
  torch::Tensor weights = to_device(advantages, current.device()).unsqueeze(-1);  // [R, 1]
  if (current.dim() == 3) weights = weights.unsqueeze(-1);
  const double each = weight * static_cast<double>(current.size(0) * current.size(1));
  const torch::Tensor kl = kl_k3(current, from_start).mean();
  torch::Tensor loss = clipped_policy_loss(current, before, weights, config.clip_range).mean();
  if (step.kl_weight > 0) loss = loss + step.kl_weight * kl;
  (loss * each).backward();
  return {.loss = each * loss.item<double>(),
          .kl = each * kl.item<double>(),
          .clip_ratio = each * clipped_share(current.detach(), before, weights, config.clip_range)};
}

}  // namespace

UpdateFigures& UpdateFigures::operator+=(const UpdateFigures& other) {
  loss += other.loss;
  kl += other.kl;
  clip_ratio += other.clip_ratio;
  return *this;
}

bool one_pass_applies(const GrpoConfig& config) {
  return config.rollouts_per_pass >= config.group_size && config.updates_per_batch == 1 &&
         config.credit == Credit::kStep && config.advantage == AdvantageScale::kTrace;
}

void one_pass_gradient(const GrpoStep& step, const Scorer& scorer, RolloutFigures& rollouts,
                       UpdateFigures& update, World& world) {
  const std::vector<RolloutUnit> units = units_of(step);
  const std::vector<std::int64_t> costs = costs_of(step, units);
  UnitGradients gradients(world, scorer.parameters(), deal(costs, world.size()), sum_order(*step.config));
  const auto work = [&](std::size_t u) {
    const RolloutBatch batch = batch_of(step, units[u]);
    const UnitPass pass = run_unit(step, batch, scorer, world);
    gradients.add_unit(where(step, batch));
    return pack_tensors({pack_figures(pass.update), pass.losses.losses, pass.losses.divergence});
  };
  const auto found = map_units(world, costs, work, "rollouts");
  gradients.set_summed_gradients();
  GroupLosses groups(step.traces.size());
  for (std::size_t u = 0; u < units.size(); ++u) {
    const auto parts = unpack_tensors(found[u]);
    update += unpack_figures(parts[0]);
    groups.add(units[u], batch_of(step, units[u]), parts[1], parts[2]);
  }
  groups.credits(step, rollouts);
}

DrawnRollouts roll_out(const GrpoStep& step, const Scorer& scorer, World& world) {
  const Config& config = *step.config;
  DrawnRollouts rollouts{.units = units_of(step), .draws = {}, .advantages = {}, .figures = {}};
  rollouts.draws.resize(rollouts.units.size());
  const auto work = [&](std::size_t u) {
    const RolloutBatch batch = batch_of(step, rollouts.units[u]);
    const std::int64_t evictions = step.size.steps(batch.traces.front()->length());
    const EvictionSelector select = policy_selector(
        scorer, policy_options(config.grpo),
        recording_draws(sampled_draws(batch), scorer.layers(), evictions, rollouts.draws[u]), {});
    const EvictedPass pass = run_rollouts(*step.model, batch, step.size, select, compares(config.grpo), {},
                                          [&](std::int64_t /*tokens*/) { world.tick(); });
    return pack_tensors({pass.losses, pass.divergence});
  };
  const auto found = map_units(world, costs_of(step, rollouts.units), work, "rollouts");
  GroupLosses groups(step.traces.size());
  for (std::size_t u = 0; u < found.size(); ++u) {
    const auto parts = unpack_tensors(found[u]);
    groups.add(rollouts.units[u], batch_of(step, rollouts.units[u]), parts[0], parts[1]);
  }
  const std::vector<GroupCredit> credits = groups.credits(step, rollouts.figures);
  for (const RolloutUnit& unit : rollouts.units) {
    const RolloutBatch batch = batch_of(step, unit);
    torch::Tensor advantages =
        torch::empty({step.size.steps(batch.traces.front()->length()), batch.rows.rows()});
    for (std::size_t n = 0; n < unit.traces.size(); ++n) {
      batch.rows.of_trace(advantages, static_cast<std::int64_t>(n), /*dim=*/1)
          .copy_(credits[unit.traces[n]].advantages.narrow(1, unit.first_copy, unit.copies));
    }
    rollouts.advantages.push_back(advantages);
  }
  return rollouts;
}

UpdateFigures replayed_gradient(const GrpoStep& step, const DrawnRollouts& rollouts, const Scorer& behaviour,
                                const Scorer& scorer, World& world) {
  const std::vector<std::int64_t> costs = costs_of(step, rollouts.units);
  UnitGradients gradients(world, scorer.parameters(), deal(costs, world.size()), sum_order(*step.config));
  const auto work = [&](std::size_t u) {
    const RolloutBatch batch = batch_of(step, rollouts.units[u]);
    const double weight = action_weight(step, batch);
    UpdateFigures update;
    const ChoiceConsumer learn = [&](const EvictionView& view, const PolicyChoice& choice) {
      update += learn_choice(step, behaviour, scorer, view.layer, choice, rollouts.advantages[u][view.step],
                             weight);
    };
    const EvictionSelector select = policy_selector(behaviour, policy_options(step.config->grpo),
                                                    replayed_draws(rollouts.draws[u]), learn);
    replay_evictions(*step.model, stacked_tokens(batch.traces), step.size, batch.rows.copies,
                     rollouts.advantages[u].size(0), select, [&](std::int64_t /*tokens*/) { world.tick(); });
    gradients.add_unit(where(step, batch));
    return pack_tensors({pack_figures(update)});
  };
  UpdateFigures update;
  for (const std::string& part : map_units(world, costs, work, "figures of an update"))
    update += unpack_figures(unpack_tensors(part).front());
  gradients.set_summed_gradients();
  return update;
}

}  // namespace foresight
