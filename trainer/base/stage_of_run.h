// What is still to come of a run that consists of several stages: for the progress bars of its stages.
#pragma once

#include <optional>
#include <string>

namespace foresight {

/// The stage that is under way, and what is expected of it and of the rest of the run.
struct StageOfRun {
  std::string stage;          ///< the title of the progress bar that counts all of the stage's work
  double stage_seconds = 0;   ///< expected for the stage from now on
  double seconds_behind = 0;  ///< expected for the stages after it
};

/// From now on progress bars (progress.h) show the time left for the whole run as well: "1m12s left, run
/// 34m10s". Without a value they do not.
void set_stage_of_run(std::optional<StageOfRun> stage);

/// Seconds left for the whole run when the bar `title` has `seconds_of_bar` left; nothing where no stage is
/// set. A bar that counts only a part of its stage does not know how much of the stage follows it: the stage
/// then takes at least what is expected of it.
std::optional<double> seconds_left_of_run(const std::string& title, double seconds_of_bar);

}  // namespace foresight
