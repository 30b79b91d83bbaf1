// One GRPO step: its rollouts, cut into units that are assigned to ranks, and the gradient of its objective.
#pragma once

#include <cstdint>
#include <vector>

#include "rl/credit.h"
#include "rl/rollout.h"
#include "rl/rollout_units.h"
#include "trainer/comm/world.h"
#include "trainer/config/cache_size.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/scorer/scorer.h"

namespace foresight {

/// The inputs of a step, which must outlive it.
struct GrpoStep {
  const Transformer* model;
  const Config* config;
  CacheSize size;  ///< of the step's rollouts
  std::vector<const RecordedTrace*> traces;
  std::int64_t step = 0;  ///< counts from 0
  double kl_weight = 0;
  const Scorer* reference;  ///< the scorer that RL started from
};

/// Figures of a step's rollouts, averaged over its traces.
struct RolloutFigures {
  double reward = 0, reward_std = 0, frac_reward_zero_std = 0, loss_rise = 0, low_entropy_loss_rise = 0,
         large_rise_share = 0;
  std::int64_t tokens = 0;
};

/// Figures of an update: mean over layers, evictions, rollouts and KV heads.
struct UpdateFigures {
  double loss = 0, kl = 0, clip_ratio = 0;

  UpdateFigures& operator+=(const UpdateFigures& other);
};

/// True if one pass gives the gradient (eligibility_traces.h): whole groups in a pass, credit by step, one
/// deviation for the whole trace, one update from each batch. With other settings rollouts are replayed.
bool one_pass_applies(const GrpoConfig& config);

/// Runs the step's rollouts with `scorer` and leaves the gradient of the objective in its weights. A
/// collective. Call it only if one_pass_applies(). Throws Error(kNumeric) for losses or gradients that are
/// not finite.
void one_pass_gradient(const GrpoStep& step, const Scorer& scorer, RolloutFigures& rollouts,
                       UpdateFigures& update, World& world);

/// A step's rollouts, to be replayed: draws and advantages of this rank's units.
struct DrawnRollouts {
  std::vector<RolloutUnit> units;
  std::vector<RecordedDraws> draws;       ///< by unit; empty for those of other ranks
  std::vector<torch::Tensor> advantages;  ///< by unit: [S, R]
  RolloutFigures figures;
};

/// Runs the step's rollouts under `scorer`; all ranks compute advantages of whole groups. A collective.
DrawnRollouts roll_out(const GrpoStep& step, const Scorer& scorer, World& world);

/// Replays the actions that `behaviour` sampled and leaves the gradient of the objective in the weights of
/// `scorer`. It works with all options, and tests compare one_pass_gradient() with it. A collective.
UpdateFigures replayed_gradient(const GrpoStep& step, const DrawnRollouts& rollouts, const Scorer& behaviour,
                                const Scorer& scorer, World& world);

}  // namespace foresight
