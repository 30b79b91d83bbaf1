// The time left of a run with several stages, for the progress bars of the stages.
#pragma once

#include <optional>
#include <string>

namespace foresight {

/// The stage that is running, and the time expected for it and for the rest of the run.
struct StageOfRun {
  std::string stage;          ///< the title of the progress bar that counts all of the stage's work
  double stage_seconds = 0;   ///< expected for the rest of the stage
  double seconds_behind = 0;  ///< expected for the stages after it
};

/// Makes progress bars (progress.h) show the time left for the whole run as well: "1m12s left, run 34m10s".
/// Without a value they stop showing it.
void set_stage_of_run(std::optional<StageOfRun> stage);

/// Seconds left for the whole run when the bar `title` has `seconds_of_bar` left; nothing if no stage is set.
/// If the bar counts only a part of its stage, it is unknown how much of the stage follows, and the stage
/// takes at least the time expected for it.
std::optional<double> seconds_left_of_run(const std::string& title, double seconds_of_bar);

}  // namespace foresight
