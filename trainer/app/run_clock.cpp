#include "trainer/app/run_clock.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "data/trace_rows.h"
#include "trainer/app/stage_table.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stage_of_run.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/eviction/full_run.h"
#include "trainer/model/device.h"

namespace foresight {
namespace {

/// Of the time of a replay, what a step over the same states takes once they are stored: docs/performance.md
/// measured 1/23.
constexpr double kGradientShare = 1.0 / 20;
/// The log does not tell of less.
constexpr double kLeastSeconds = 1;

double total_tokens(const std::vector<SplitLengths>& lengths, const std::string& name) {
  double tokens = 0;
  for (const SplitLengths& split : lengths) {
    for (const TraceLength& trace : split.traces)
      tokens += split.name == name ? static_cast<double>(trace.tokens) : 0;
  }
  return tokens;
}

/// The validations of `steps` steps, each a pass under eviction over the validation traces.
double validation_tokens(const std::vector<SplitLengths>& lengths, std::int64_t steps, std::int64_t every) {
  if (every <= 0) return 0;
  return total_tokens(lengths, "validation") * (1 + static_cast<double>(steps / every));
}

/// A training stage that takes `tokens` from its first step to its last: what is left of it.
StageForecast forecast_training(const Config& config, Stage stage, double tokens) {
  const auto [checkpoint, steps] = training_keys(config, stage);
  const auto newest = newest_checkpoint_step(RunFolder{config.output}.checkpoints(stage));
  StageForecast forecast{.stage = stage, .first_step = 0, .last_step = steps};
  if (checkpoint.resume == "auto") forecast.first_step = std::min(newest.value_or(0), steps);
  if (steps > 0)
    forecast.seconds = tokens * static_cast<double>(steps - forecast.first_step) / static_cast<double>(steps);
  return forecast;
}

StageForecast forecast_oracle(const std::vector<SplitLengths>& lengths) {
  StageForecast forecast{.stage = Stage::kOracle};
  for (const SplitLengths& split : lengths) {
    for (const TraceLength& trace : split.traces) {
      ++forecast.last_step;
      forecast.first_step += trace.recorded ? 1 : 0;
      forecast.seconds += trace.recorded ? 0 : static_cast<double>(trace.tokens);
    }
  }
  return forecast;
}

double generated_tokens(const Config& config) {
  double rows = 0;
  for (const std::string& file : config.traces.prompts)
    rows += static_cast<double>(read_prompt_rows(file).size());
  return rows * static_cast<double>(config.traces.samples_per_prompt * config.traces.max_new_tokens);
}

}  // namespace

double measured_speed(const Transformer& model) {
  constexpr std::int64_t kTokens = 256;
  const torch::Tensor tokens = torch::zeros({kTokens}, torch::kInt64);  // [tokens]
  full_pass(model, tokens, default_query_block(model.options().device));
  const DeviceTimer timer(model.options().device);
  full_pass(model, tokens, default_query_block(model.options().device));
  return static_cast<double>(kTokens) / timer.seconds();
}

RunForecast forecast_run(const Config& config, const std::vector<SplitLengths>& lengths,
                         const RunNeeds& needs, double tokens_per_s, std::int64_t ranks) {
  RunForecast forecast;  // in tokens first
  const SupervisedConfig& supervised = config.supervised;
  for (const Stage stage : stages_of_run(config)) {
    if (stage == Stage::kTraces) {
      forecast.stages.push_back({.stage = stage, .seconds = generated_tokens(config)});
    } else if (stage == Stage::kOracle) {
      forecast.stages.push_back(forecast_oracle(lengths));
    } else if (stage == Stage::kSupervised) {
      const double gradients = kGradientShare *
                               static_cast<double>(supervised.steps * supervised.traces_per_step) *
                               static_cast<double>(config.data.trace_tokens);
      forecast.stages.push_back(forecast_training(
          config, stage,
          needs.replay_tokens + gradients +
              validation_tokens(lengths, supervised.steps, supervised.checkpoint.evaluate_every)));
    } else if (stage == Stage::kGrpo) {
      forecast.stages.push_back(forecast_training(
          config, stage,
          needs.grpo_tokens +
              validation_tokens(lengths, config.grpo.steps, config.grpo.checkpoint.evaluate_every)));
    } else {
      const bool again = forecast.seconds() > 0 || !is_there(RunFolder{config.output}.evaluation_file());
      forecast.stages.push_back({.stage = stage, .seconds = again ? needs.evaluation_tokens : 0});
    }
  }
  for (StageForecast& stage : forecast.stages)
    stage.seconds /= tokens_per_s * static_cast<double>(std::max<std::int64_t>(ranks, 1));
  return forecast;
}

RunClock::RunClock(const RunFolder& folder, RunForecast forecast)
    : folder_(folder), forecast_(std::move(forecast)) {}

void RunClock::announce() const {
  write_forecast(forecast_file(*folder_), forecast_);
  if (forecast_.seconds() < kLeastSeconds) return;
  std::vector<std::string> parts;
  for (const StageForecast& stage : forecast_.stages)
    parts.push_back(concat(to_string(stage.stage), " ", format_duration(stage.seconds)));
  log_info(concat("run: about ", format_duration(forecast_.seconds()), " in all: ", join(parts, ", "),
                  " (estimates of the model's passes)"));
}

RunClock::~RunClock() {
  set_stage_of_run(std::nullopt);
}

void RunClock::begin(Stage stage) {
  const StageForecast* const expected = forecast_.find(stage);
  if (expected == nullptr) return;
  if (!std::exchange(announced_, true)) announce();
  began_ = std::chrono::steady_clock::now();
  set_stage_of_run(StageOfRun{.stage = to_string(stage),
                              .stage_seconds = expected->seconds * forecast_.pace(),
                              .seconds_behind = forecast_.seconds_behind(stage)});
}

void RunClock::end(Stage stage) {
  if (forecast_.find(stage) == nullptr) return;
  set_stage_of_run(std::nullopt);
  forecast_.end(stage, std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count());
  write_forecast(forecast_file(*folder_), forecast_);
  const double left = forecast_.seconds_behind(stage);
  if (left >= kLeastSeconds)
    log_info(concat("run: about ", format_duration(left), " left after ", to_string(stage)));
}

void RunClock::finish() {
  if (!folder_) return;
  const std::filesystem::path file = forecast_file(*folder_);
  std::error_code error;
  std::filesystem::remove(file, error);
  if (error) throw_resource("cannot remove", file, error.value());
}

}  // namespace foresight
