// The stages of a run. A stage's name (names.h) is its command, its folder in a run and the start of its
// messages; the names of the training stages are policies too.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "trainer/config/config.h"

namespace foresight {

/// In the order in which a run has them.
enum class Stage { kTraces, kOracle, kSupervised, kGrpo, kEvaluate };

/// Those that train a scorer: they leave checkpoints and metrics.
inline constexpr std::array<Stage, 2> kTrainingStages = {Stage::kSupervised, Stage::kGrpo};

/// The stage of that name; nothing for any other word.
std::optional<Stage> stage_named(std::string_view name);
/// The training stage of that name, which is also that of the policy that it trains; nothing for any other
/// word.
std::optional<Stage> training_stage_named(std::string_view name);

/// What both training stages have in the config; refers to it.
struct TrainingKeys {
  const CheckpointConfig& checkpoint;
  std::int64_t steps = 0;
};

/// The keys of a training stage. Throws Error(kInternal) for another stage.
TrainingKeys training_keys(const Config& config, Stage stage);

}  // namespace foresight
