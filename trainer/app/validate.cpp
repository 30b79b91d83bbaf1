#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "trainer/app/commands.h"
#include "trainer/app/preconditions.h"
#include "trainer/app/run_clock.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/stage_table.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/progress.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/model/device.h"

namespace foresight {
namespace {

/// What `foresight validate` tells.
struct Forecast {
  std::vector<SplitLengths> lengths;
  bool traces_to_come;
  RunNeeds needs;
  MachineRoom room;
  double tokens_per_s;
  double run_seconds;
};

nlohmann::ordered_json needs_json(const RunNeeds& needs) {
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  for (const MemoryItem& item : needs.items)
    items.push_back({{"what", item.what},
                     {"bytes", static_cast<std::uint64_t>(item.bytes)},
                     {"on_device", item.on_device}});
  return {{"disk_bytes", needs.disk_bytes},
          {"memory_bytes", needs.memory_bytes},
          {"device_bytes", needs.device_bytes},
          {"largest_stage", needs.largest_stage},
          {"memory_items", items},
          {"oracle_tokens", needs.oracle_tokens},
          {"replay_tokens", needs.replay_tokens},
          {"grpo_tokens", needs.grpo_tokens},
          {"evaluation_tokens", needs.evaluation_tokens}};
}

nlohmann::ordered_json forecast_json(const Config& config, const Transformer& model,
                                     const Forecast& forecast) {
  nlohmann::ordered_json traces;
  for (const SplitLengths& split : forecast.lengths) traces[split.name] = split.traces.size();
  nlohmann::ordered_json steps;
  for (const Stage stage : kTrainingStages) steps[to_string(stage)] = training_keys(config, stage).steps;
  return {{"output", config.output},
          {"model", {{"architecture", model.shape().architecture}, {"dtype", model.dtype_name()}}},
          {"traces", traces},
          {"traces_to_come", forecast.traces_to_come},
          {"needs", needs_json(forecast.needs)},
          {"room",
           {{"disk_bytes", forecast.room.disk_bytes},
            {"memory_bytes", forecast.room.memory_bytes},
            {"device_bytes", forecast.room.device_bytes}}},
          {"tokens_per_s", forecast.tokens_per_s},
          {"run_seconds", forecast.run_seconds},
          {"steps", steps}};
}

/// The largest of what a rank holds in the stage that holds most.
std::string largest_items(const RunNeeds& needs) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, needs.items.size()); ++i) {
    text += concat(i == 0 ? "  of which  " : "            ",
                   format_bytes(static_cast<std::uint64_t>(needs.items[i].bytes)), " ", needs.items[i].what,
                   i == 0 ? " (stage " + needs.largest_stage + ")" : "", "\n");
  }
  return text;
}

void print_forecast(const Config& config, const Transformer& model, const Forecast& forecast) {
  const RunNeeds& needs = forecast.needs;
  const auto about = [&](double tokens) { return format_duration(tokens / forecast.tokens_per_s); };
  std::ostringstream text;
  text << "config      valid; output " << config.output << "\n"
       << "model       " << model.shape().architecture << ", " << model.dtype_name() << "\n";
  for (const SplitLengths& split : forecast.lengths)
    text << "data        " << split.name << ": " << split.traces.size() << " traces"
         << (forecast.traces_to_come ? " (if `foresight traces` generates that many)" : "") << "\n";
  text << "rows        "
       << (forecast.traces_to_come
               ? concat(traces_file(config).string(),
                        " does not exist yet (`foresight traces` generates it); the prompts fit the model")
               : "no evaluation row is in the training files")
       << "\n";
  text << "disk        about " << format_bytes(needs.disk_bytes) << " needed, "
       << format_bytes(forecast.room.disk_bytes) << " free\n";
  text << "memory      about " << format_bytes(needs.memory_bytes) << " needed, "
       << format_bytes(forecast.room.memory_bytes) << " may be used\n";
  if (needs.device_bytes > 0) {
    text << "GPU memory  about " << format_bytes(needs.device_bytes) << " needed, "
         << format_bytes(forecast.room.device_bytes) << " on the GPU\n";
  }
  text << largest_items(needs);
  text << "speed       " << static_cast<std::int64_t>(forecast.tokens_per_s) << " tokens/s in a full pass\n";
  text << "would run   oracle " << about(needs.oracle_tokens) << ", replay " << about(needs.replay_tokens)
       << ", supervised " << config.supervised.steps << " steps, grpo " << config.grpo.steps << " steps "
       << about(needs.grpo_tokens) << ", evaluate " << about(needs.evaluation_tokens)
       << " (estimates of the model's passes)\n"
       << "time        about " << format_duration(forecast.run_seconds) << " for what is left of the run\n";
  print(text.str());
}

}  // namespace

void command_validate(const Config& config, OutputForm form) {
  const Workspace workspace = open_workspace(config, alone());
  const ModelOptions& options = workspace.model.options();
  const std::vector<Stage> stages = stages_of_run(config);
  const RunTraces traces = require_inputs(config, workspace, stages);
  std::vector<SplitLengths> lengths =
      traces.to_come ? planned_lengths(config) : lengths_of(config, traces.splits);
  const RunNeeds needs = estimate_needs(config, workspace.model.shape(), options, lengths, stages);
  const double tokens_per_s = measured_speed(workspace.model);
  const double run_seconds = forecast_run(config, lengths, needs, tokens_per_s, /*ranks=*/1).seconds();
  const Forecast forecast{std::move(lengths), traces.to_come, needs, machine_room(config, options),
                          tokens_per_s,       run_seconds};
  if (form == OutputForm::kJson) {
    print(forecast_json(config, workspace.model, forecast).dump(2) + "\n");
  } else {
    print_forecast(config, workspace.model, forecast);
  }
  require_room(config, forecast.needs, forecast.room);
}

void command_validate_elsewhere(const Config& config, std::int64_t ranks, OutputForm form) {
  if (ranks < 1)
    throw Error(ErrorKind::kConfig, concat("--elsewhere: expected a number of ranks from 1, got ", ranks));
  const ModelShape shape = read_model_shape(config.model.path);
  const RuntimeConfig& runtime = config.runtime;
  const ModelOptions options =
      runtime.device == "cuda"
          ? model_options_on(torch::Device(torch::kCUDA, 0), runtime.dtype, runtime.cache_dtype)
          : resolve_model_options(runtime.device, runtime.dtype, runtime.cache_dtype);
  const RunNeeds needs = estimate_needs(config, shape, options, planned_lengths(config),
                                        stages_of_run(config), {.all = ranks, .on_this_host = ranks});
  const std::string dtype = dtype_name_of(options);
  if (form == OutputForm::kJson) {
    const nlohmann::ordered_json json = {{"model",
                                          {{"architecture", shape.architecture},
                                           {"layers", shape.layers},
                                           {"evicting_layers", shape.evicting_layer_numbers()},
                                           {"dtype", dtype}}},
                                         {"ranks", ranks},
                                         {"needs", needs_json(needs)}};
    print(json.dump(2) + "\n");
    return;
  }
  std::ostringstream text;
  text << "model       " << shape.architecture << ", " << layers_text(shape) << ", " << dtype << "\n"
       << "traces      " << config.data.trace_tokens << " tokens each (data.trace_tokens)\n"
       << "disk        about " << format_bytes(needs.disk_bytes) << " for the whole run\n"
       << "memory      about " << format_bytes(needs.memory_bytes) << " for " << ranks
       << " ranks on one machine\n";
  if (needs.device_bytes > 0)
    text << "GPU memory  about " << format_bytes(needs.device_bytes) << " on each\n";
  text << largest_items(needs);
  print(text.str());
}

}  // namespace foresight
