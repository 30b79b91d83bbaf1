#include <iostream>
#include <nlohmann/json.hpp>

#include "trainer/app/commands.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/stage_table.h"
#include "trainer/app/workspace.h"
#include "trainer/base/progress.h"
#include "trainer/config/names.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/scorer/scorer.h"

namespace foresight {
namespace {

/// Tokens per second of a short full pass, to say about how long a run takes.
double measured_speed(const Transformer& model) {
  const torch::Tensor tokens = torch::zeros({256}, torch::kInt64);
  full_pass(model, tokens, default_query_block(model.options().device));
  const auto started = std::chrono::steady_clock::now();
  full_pass(model, tokens, default_query_block(model.options().device));
  return 256.0 / std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

/// What `foresight validate` tells.
struct Forecast {
  RunNeeds needs;
  MachineRoom room;
  double tokens_per_s;
};

nlohmann::ordered_json forecast_json(const Config& config, const Transformer& model,
                                     const std::vector<TraceSplit>& splits, const Forecast& forecast) {
  nlohmann::ordered_json traces;
  for (const TraceSplit& split : splits) traces[split.name] = split.traces.size();
  nlohmann::ordered_json steps;
  for (const Stage stage : kTrainingStages) steps[to_string(stage)] = training_keys(config, stage).steps;
  const RunNeeds& needs = forecast.needs;
  return {{"output", config.output},
          {"model", {{"architecture", model.shape().architecture}, {"dtype", model.dtype_name()}}},
          {"traces", traces},
          {"needs",
           {{"disk_bytes", needs.disk_bytes},
            {"memory_bytes", needs.memory_bytes},
            {"oracle_tokens", needs.oracle_tokens},
            {"replay_tokens", needs.replay_tokens},
            {"grpo_tokens", needs.grpo_tokens},
            {"evaluation_tokens", needs.evaluation_tokens}}},
          {"room", {{"disk_bytes", forecast.room.disk_bytes}, {"memory_bytes", forecast.room.memory_bytes}}},
          {"tokens_per_s", forecast.tokens_per_s},
          {"steps", steps}};
}

void print_forecast(const Config& config, const Transformer& model, const std::vector<TraceSplit>& splits,
                    const Forecast& forecast) {
  const RunNeeds& needs = forecast.needs;
  const auto about = [&](double tokens) { return format_duration(tokens / forecast.tokens_per_s); };
  std::cout << "config      valid; output " << config.output << "\n"
            << "model       " << model.shape().architecture << ", " << model.dtype_name() << "\n";
  for (const TraceSplit& split : splits)
    std::cout << "data        " << split.name << ": " << split.traces.size() << " traces\n";
  std::cout << "rows        no evaluation row stands in the training files\n";
  std::cout << "disk        about " << format_bytes(needs.disk_bytes) << " needed, "
            << format_bytes(forecast.room.disk_bytes) << " free\n";
  std::cout << "memory      about " << format_bytes(needs.memory_bytes) << " needed, "
            << format_bytes(forecast.room.memory_bytes) << " in the machine\n";
  std::cout << "speed       " << static_cast<std::int64_t>(forecast.tokens_per_s)
            << " tokens/s in a full pass\n";
  std::cout << "would run   oracle " << about(needs.oracle_tokens) << ", replay "
            << about(needs.replay_tokens) << ", supervised " << config.supervised.steps << " steps, grpo "
            << config.grpo.steps << " steps " << about(needs.grpo_tokens) << ", evaluate "
            << about(needs.evaluation_tokens) << " (estimates of the model's passes)\n"
            << std::flush;
}

}  // namespace

void command_validate(const Config& config, OutputForm form) {
  const Workspace workspace = open_workspace(config, alone());
  const ModelShape& shape = workspace.model.shape();
  if (!config.scorer.initial.empty()) Scorer::load(config.scorer.initial, shape);
  if (!config.grpo.start.empty()) Scorer::load(config.grpo.start, shape);
  for (const std::string& policy : config.evaluation.policies) {
    if (is_scorer_path(policy)) Scorer::load(policy, shape);
  }
  const std::vector<TraceSplit> splits =
      make_trace_splits(config, workspace.tokenizer, shape.vocabulary_size);
  const Forecast forecast{estimate_needs(config, shape, lengths_of(config, splits), stages_of_run(config)),
                          machine_room(config), measured_speed(workspace.model)};
  if (form == OutputForm::kJson) {
    std::cout << forecast_json(config, workspace.model, splits, forecast).dump(2) << std::endl;
  } else {
    print_forecast(config, workspace.model, splits, forecast);
  }
  require_room(config, forecast.needs, forecast.room, workspace.model.options());
}

}  // namespace foresight
