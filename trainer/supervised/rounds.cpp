#include "trainer/supervised/rounds.h"

#include "trainer/training/schedule.h"

namespace foresight {

Round round_of_step(const SupervisedConfig& stage, std::int64_t step) {
  const std::int64_t rounds = stage.states == TrainingStates::kGolden ? 1 : stage.rounds + 1;
  const auto first_step_of = [&](std::int64_t index) {
    return (index * stage.steps + rounds - 1) / rounds;  // rounded up: the round on golden states has a step
  };
  const std::int64_t index = step * rounds / stage.steps;
  return {index, first_step_of(index), first_step_of(index + 1) - first_step_of(index)};
}

double learning_rate_of_step(const SupervisedConfig& stage, std::int64_t step) {
  const Round round = round_of_step(stage, step);
  const double peak = round.on_own_states() ? stage.own_learning_rate : stage.learning_rate;
  return peak * schedule_factor(Schedule::kCosine, step - round.first_step, round.steps, stage.warmup_steps);
}

std::vector<CacheSize> sizes_of_round(const Config& config, const std::vector<std::int64_t>& lengths,
                                      std::int64_t round) {
  std::vector<CacheSize> sizes;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    sizes.push_back(size_of_turn(config.eviction, config.supervised.budgets, lengths[i],
                                 static_cast<std::int64_t>(i) + round));
  }
  return sizes;
}

}  // namespace foresight
