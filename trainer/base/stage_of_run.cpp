#include "trainer/base/stage_of_run.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace foresight {
namespace {

using Clock = std::chrono::steady_clock;

/// The stage given to set_stage_of_run(), and when that was.
struct KnownStage {
  StageOfRun stage;
  Clock::time_point since;
};

std::optional<KnownStage>& known_stage() {
  static std::optional<KnownStage> known;
  return known;
}

}  // namespace

void set_stage_of_run(std::optional<StageOfRun> stage) {
  known_stage().reset();
  if (stage) known_stage() = KnownStage{std::move(*stage), Clock::now()};
}

std::optional<double> seconds_left_of_run(const std::string& title, double seconds_of_bar) {
  const std::optional<KnownStage>& known = known_stage();
  if (!known) return std::nullopt;
  const StageOfRun& stage = known->stage;
  const double elapsed = std::chrono::duration<double>(Clock::now() - known->since).count();
  const double own =
      title == stage.stage ? seconds_of_bar : std::max(seconds_of_bar, stage.stage_seconds - elapsed);
  return own + stage.seconds_behind;
}

}  // namespace foresight
