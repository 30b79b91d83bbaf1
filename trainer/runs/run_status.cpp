#include "trainer/runs/run_status.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/runs/list_runs.h"
#include "trainer/runs/run_forecast.h"
#include "trainer/runs/text_table.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

/// Steps whose mean time is the rate: enough that one step with a validation does not stand for all.
constexpr std::size_t kStepsOfRate = 20;

/// Measures that the last lines show, in this order, where a row has them.
constexpr std::array<const char*, 6> kShown = {"loss",      "reward",         "oracle_overlap",
                                               "grad_norm", "eval_loss_rise", "eval_low_entropy_loss_rise"};

/// The process that the lock file names; nothing where it names none.
std::optional<std::int64_t> noted_holder(const fs::path& lock) {
  std::error_code error;
  constexpr std::uintmax_t kMostBytes = 32;
  const std::uintmax_t bytes = fs::file_size(lock, error);
  if (error || bytes == 0 || bytes > kMostBytes) return std::nullopt;
  std::string text;
  try {
    text = read_file(lock);
  } catch (const Error&) {  // gone, or not ours to read
    return std::nullopt;
  }
  std::int64_t process = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), process);
  if (problem != std::errc() || process < 1) return std::nullopt;
  return process;
}

/// The noted process, if it has the lock file open: taking the lock to find out would be in the way of a
/// command that begins at this moment.
std::optional<std::int64_t> holder_of(const fs::path& lock, const fs::path& processes) {
  const auto process = noted_holder(lock);
  struct stat own = {};
  if (!process || ::stat(lock.c_str(), &own) != 0) return std::nullopt;
  std::error_code error;
  fs::directory_iterator entry(processes / std::to_string(*process) / "fd", error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    struct stat opened = {};
    if (::stat(entry->path().c_str(), &opened) == 0 && opened.st_dev == own.st_dev &&
        opened.st_ino == own.st_ino)
      return process;
  }
  return std::nullopt;
}

std::optional<double> scalar(const MetricsRow& row, const char* name) {
  const auto found = row.scalars.find(name);
  if (found == row.scalars.end()) return std::nullopt;
  return found->second;
}

/// The mean of step_time over the newest rows that have one.
std::optional<double> newest_step_seconds(const StageFacts& stage) {
  double sum = 0;
  std::size_t count = 0;
  for (auto row = stage.metrics.rbegin(); row != stage.metrics.rend() && count < kStepsOfRate; ++row) {
    if (const auto seconds = scalar(*row, "step_time"); seconds && *seconds > 0) {
      sum += *seconds;
      ++count;
    }
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

const StageFacts* current_stage(const RunStatus& status) {
  for (const StageFacts& stage : status.run.stages) {
    if (status.current && stage.stage == *status.current) return &stage;
  }
  return nullptr;
}

std::string stage_line(const RunStatus& status, const StageFacts& stage) {
  std::string line = to_string(stage.stage);
  line.resize(std::max<std::size_t>(line.size(), 10), ' ');
  if (stage.progress == StageProgress::kAbsent) return line + "  -";
  if (stage.progress == StageProgress::kDone) return line + "  done";
  line += concat("  ", stage.step.value_or(0), "/", stage.steps ? concat(*stage.steps) : "?");
  if (!status.current || *status.current != stage.stage) return line;
  if (status.step_seconds) line += concat("  ", number_text(*status.step_seconds), " s per step");
  if (status.seconds_left) line += concat("  ", format_duration(*status.seconds_left), " left");
  return line;
}

/// The newest value of each shown measure of the stage that runs, or else of the last one with rows.
std::string measures_line(const RunStatus& status) {
  const StageFacts* shown = current_stage(status);
  for (const StageFacts& stage : status.run.stages) {
    if ((shown == nullptr || shown->metrics.empty()) && !stage.metrics.empty()) shown = &stage;
  }
  if (shown == nullptr || shown->metrics.empty()) return "";
  std::vector<std::string> parts;
  for (const char* name : kShown) {
    for (auto row = shown->metrics.rbegin(); row != shown->metrics.rend(); ++row) {
      const auto value = scalar(*row, name);
      if (!value) continue;
      parts.push_back(concat(name, " ", number_text(*value), " @ ", row->step));
      break;
    }
  }
  return concat(to_string(shown->stage), ": ", join(parts, ", "), "\n");
}

/// Seconds since `file` was written.
std::optional<double> age_of(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  if (error) return std::nullopt;
  return std::chrono::duration<double>(fs::file_time_type::clock::now() - written).count();
}

/// What is left of a stage of which no step has given a rate: the expected time less the share of its steps
/// that is done, or less the time since the stage began, where nothing counts its steps.
double expected_left(const StageForecast& expected, const StageFacts& facts, double pace,
                     std::optional<double> seconds_since_begin) {
  const double all = expected.seconds * pace;
  const std::int64_t steps = expected.last_step - expected.first_step;
  if (steps > 0) {
    const std::int64_t left = expected.last_step - facts.step.value_or(expected.first_step);
    return all * static_cast<double>(std::clamp<std::int64_t>(left, 0, steps)) / static_cast<double>(steps);
  }
  return std::max(0.0, all - seconds_since_begin.value_or(0));
}

/// The first stage that has neither ended nor is done is the one that runs, or that would resume.
std::optional<double> run_seconds_left(const RunStatus& status, const RunForecast& forecast,
                                       const fs::path& file) {
  for (const StageFacts& stage : status.run.stages) {
    const StageForecast* const expected = forecast.find(stage.stage);
    if (expected == nullptr || expected->took) continue;
    const bool counts_steps = expected->last_step > expected->first_step;
    if (counts_steps && stage.progress == StageProgress::kDone) continue;
    const bool has_rate = status.current == stage.stage && status.seconds_left;
    const auto running = status.holder ? age_of(file) : std::nullopt;
    const double own =
        has_rate ? *status.seconds_left : expected_left(*expected, stage, forecast.pace(), running);
    return own + forecast.seconds_behind(stage.stage);
  }
  return std::nullopt;
}

void read_forecast_of(RunStatus& status) {
  const fs::path file = forecast_file(RunFolder{status.run.folder});
  try {
    if (const auto forecast = read_forecast(file))
      status.run_seconds_left = run_seconds_left(status, *forecast, file);
  } catch (const Error& fault) {
    status.run.faults.push_back(one_line(fault.what()));
  }
}

}  // namespace

RunStatus read_status(const fs::path& folder, const fs::path& processes) {
  RunStatus status{.run = read_run(folder),
                   .holder = holder_of(RunFolder{folder}.lock_file(), processes),
                   .current = {},
                   .step_seconds = {},
                   .seconds_left = {},
                   .run_seconds_left = {}};
  for (const StageFacts& stage : status.run.stages) {
    if (stage.progress == StageProgress::kPartial) status.current = stage.stage;
  }
  if (const StageFacts* const current = current_stage(status)) {
    status.step_seconds = newest_step_seconds(*current);
    if (status.step_seconds && current->steps && current->step) {
      const auto left = static_cast<double>(std::max<std::int64_t>(0, *current->steps - *current->step));
      status.seconds_left = *status.step_seconds * left;
    }
  }
  read_forecast_of(status);
  return status;
}

std::string status_text(const RunStatus& status) {
  std::string text = one_line(status.run.folder.string()) + "\n";
  for (const StageFacts& stage : status.run.stages) text += stage_line(status, stage) + "\n";
  text += measures_line(status);
  if (status.run_seconds_left)
    text += concat("whole run: about ", format_duration(*status.run_seconds_left), " left\n");
  text += status.holder ? concat("process ", *status.holder, " of this host holds the run\n")
                        : std::string("no process of this host holds the run\n");
  for (const std::string& fault : status.run.faults) text += concat("fault: ", fault, "\n");
  return text;
}

nlohmann::ordered_json status_json(const RunStatus& status) {
  nlohmann::ordered_json json = runs_json({status.run}).front();
  const auto or_null = [](const auto& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  json["holder"] = or_null(status.holder);
  json["current_stage"] =
      status.current ? nlohmann::ordered_json(to_string(*status.current)) : nlohmann::ordered_json();
  json["step_seconds"] = or_null(status.step_seconds);
  json["stage_seconds_left"] = or_null(status.seconds_left);
  json["run_seconds_left"] = or_null(status.run_seconds_left);
  return json;
}

}  // namespace foresight
