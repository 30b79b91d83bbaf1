#include "trainer/config/stage.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {

std::optional<Stage> stage_named(std::string_view name) {
  for (const auto& [stage, word] : enum_names<Stage>()) {
    if (word == name) return stage;
  }
  return std::nullopt;
}

std::optional<Stage> training_stage_named(std::string_view name) {
  const std::optional<Stage> stage = stage_named(name);
  const bool trains = stage && std::ranges::count(kTrainingStages, *stage) > 0;
  return trains ? stage : std::nullopt;
}

TrainingKeys training_keys(const Config& config, Stage stage) {
  if (stage == Stage::kSupervised) return {config.supervised.checkpoint, config.supervised.steps};
  if (stage == Stage::kGrpo) return {config.grpo.checkpoint, config.grpo.steps};
  throw Error(ErrorKind::kInternal, concat("stage ", to_string(stage), " trains nothing"));
}

}  // namespace foresight
