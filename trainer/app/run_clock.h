// How long `foresight run` still takes: for its log and for `foresight status`.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "trainer/app/run_needs.h"
#include "trainer/config/run_layout.h"
#include "trainer/runs/run_forecast.h"

namespace foresight {

/// Tokens per second of a short full pass.
double measured_speed(const Transformer& model);

/// What the stages of a run take from now on, from the tokens of their passes (`needs`) at `tokens_per_s`,
/// shared by `ranks`. Work that is finished is left out; generated answers and cost measurements are too.
/// Throws Error(kInput) for prompts that cannot be read.
RunForecast forecast_run(const Config& config, const std::vector<SplitLengths>& lengths,
                         const RunNeeds& needs, double tokens_per_s, std::int64_t ranks);

/// Keeps the forecast of a run in its folder while the run is under way, corrects it by what stages took, and
/// lets progress bars show the time left for the run. No result depends on it. Rank 0 has the clock of its
/// run; one that is made without a run does nothing.
class RunClock {
 public:
  RunClock() = default;
  /// Of a run in `folder`; a forecast without stages says that all of it is finished.
  RunClock(const RunFolder& folder, RunForecast forecast);
  RunClock(const RunClock&) = delete;
  RunClock& operator=(const RunClock&) = delete;
  ~RunClock();

  /// A stage begins; the first one writes the forecast. Throws Error(kResource) when it cannot.
  void begin(Stage stage);
  /// Throws Error(kResource) when it cannot write.
  void end(Stage stage);
  /// The run has ended: removes the forecast from its folder. Throws Error(kResource) when it cannot.
  void finish();

 private:
  void announce() const;

  std::optional<RunFolder> folder_;
  RunForecast forecast_;
  bool announced_ = false;
  std::chrono::steady_clock::time_point began_ = {};
};

}  // namespace foresight
