// What a run is expected to take: written by `foresight run` while it is under way, read by `status`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/run_layout.h"
#include "trainer/config/stage.h"

namespace foresight {

/// What is expected of a stage from the start of the command on.
struct StageForecast {
  Stage stage = Stage::kOracle;
  double seconds = 0;
  std::int64_t first_step = 0, last_step = 0;  ///< the steps or traces that these are for; both 0: not known
  std::optional<double> took = {};             ///< seconds that it took; nothing before its end
};

/// The stages of a run in their order.
struct RunForecast {
  std::vector<StageForecast> stages;

  /// Of all stages.
  double seconds() const;
  /// How much longer than expected the stages took that have ended; 1 before the first. Ten seconds that go
  /// as expected are counted in, so that a stage of moments decides little.
  double pace() const;
  /// Expected for the stages after `stage`, at this pace.
  double seconds_behind(Stage stage) const;
  /// The entry of a stage; nullptr where the run does not have it.
  const StageForecast* find(Stage stage) const;
  /// Notes that a stage has ended after `seconds`. A stage that the run does not have is ignored.
  void end(Stage stage, double seconds);
};

/// Where `foresight run` keeps its forecast while it is under way.
inline std::filesystem::path forecast_file(const RunFolder& run) {
  return run.root / "forecast.json";
}

/// Writes the forecast to `file`. Throws Error(kResource) when it cannot.
void write_forecast(const std::filesystem::path& file, const RunForecast& forecast);

/// Reads what write_forecast() wrote; nothing where there is no such file. Throws Error(kInput) naming the
/// file and the key for any other content.
std::optional<RunForecast> read_forecast(const std::filesystem::path& file);

}  // namespace foresight
