// The stages of a run in one table: what each asks of the machine and what it does.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "trainer/app/run_needs.h"
#include "trainer/app/workspace.h"
#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/config/stage.h"

namespace foresight {

/// A stage as the commands see it.
struct StageEntry {
  Stage stage;
  StageNeeds (*needs)(const StageWork& work);
  /// Runs the stage on all ranks. Rank 0 gets what is to be printed: the result of `evaluate`; the other
  /// stages have none.
  std::optional<nlohmann::ordered_json> (*run)(const Config& config, const Workspace& workspace,
                                               World& world);
};

/// The row of a stage.
const StageEntry& stage_entry(Stage stage);

/// The stages that `foresight run` would go through, in order: traces where their file is not there yet;
/// without those that the config leaves out.
std::vector<Stage> stages_of_run(const Config& config);

}  // namespace foresight
