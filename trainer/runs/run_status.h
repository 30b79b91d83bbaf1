// `foresight status`: what a run is doing now, for another shell.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "trainer/runs/run_facts.h"

namespace foresight {

/// What a run is doing. Nothing of it is written to the run, and its lock is not touched.
struct RunStatus {
  RunFacts run;
  std::optional<std::int64_t> holder;      ///< process of this host that holds the run's lock
  std::optional<Stage> current;            ///< the stage that has begun and is not done
  std::optional<double> step_seconds;      ///< of a training stage: mean of its newest steps
  std::optional<double> seconds_left;      ///< of that stage, at this rate
  std::optional<double> run_seconds_left;  ///< of the whole run, where `foresight run` left its forecast
};

/// `processes` stands for /proc (tests).
RunStatus read_status(const std::filesystem::path& folder, const std::filesystem::path& processes = "/proc");

/// A few lines: each stage, who holds the run, the newest measures. Ends with a line end.
std::string status_text(const RunStatus& status);

/// The same as an object (docs/runs.md has its members). What is not known is null.
nlohmann::ordered_json status_json(const RunStatus& status);

}  // namespace foresight
