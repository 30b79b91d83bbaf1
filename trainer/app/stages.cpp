#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "trainer/app/commands.h"
#include "trainer/app/preconditions.h"
#include "trainer/app/run_clock.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/stage_table.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/evaluation/evaluation_json.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/report/report.h"
#include "trainer/training/checkpoint_folder.h"
#include "trainer/training/run_folder.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

/// Refuses work that the machine has no room for now, and not hours later. `splits` as for run_stage().
void require_room_for(const Config& config, const std::vector<Stage>& stages, const Workspace& workspace,
                      World& world, const std::vector<TraceSplit>& splits) {
  if (!world.leads()) return;
  const Transformer& model = workspace.model;
  std::vector<SplitLengths> lengths;
  if (stages.front() == Stage::kOracle) {
    lengths = lengths_of(config, splits);
  } else if (stages.front() > Stage::kOracle) {
    lengths = recorded_lengths(config);
  }
  const RunNeeds needs = estimate_needs(config, model.shape(), model.options(), lengths, stages,
                                        {world.size(), world.local_size()});
  require_room(config, needs, machine_room(config, model.options()));
}

/// The machine must have room for the stage, and for those of `then`, which are to follow it. `splits`: the
/// traces of this config, for the oracle on rank 0. `clock`: of the run that the stage belongs to.
std::optional<Json> run_stage(const Config& config, Stage stage, const Workspace& workspace, World& world,
                              RunClock& clock, const std::vector<TraceSplit>& splits = {},
                              const std::vector<Stage>& then = {}) {
  std::vector<Stage> stages = {stage};
  stages.insert(stages.end(), then.begin(), then.end());
  require_room_for(config, stages, workspace, world, splits);
  clock.begin(stage);
  std::optional<Json> found = stage_entry(stage).run(config, workspace, world);
  clock.end(stage);
  return found;
}

/// Runs the stage unless its file is there. That file may have been edited since, so it is not overwritten.
void make_traces(const Config& config, const Workspace& workspace, World& world, RunClock& clock) {
  const std::filesystem::path file = traces_file(config);
  if (!world.broadcast_flags({std::filesystem::exists(file)}, "traces file").front()) {
    run_stage(config, Stage::kTraces, workspace, world, clock);
    return;
  }
  if (!world.leads()) return;
  try {
    const auto& [model, tokenizer] = workspace;
    if (has_generated(config, model, tokenizer,
                      ChatTemplate::load(config.model.path, config.model.template_date)))
      return;
    log_warning(concat("traces: ", file.string(), " is used as it is; ",
                       RunFolder{config.output}.stage(Stage::kTraces).string(),
                       " does not hold what this config's model, prompts, traces.* and runtime.seed "
                       "give: `foresight traces` generates it again"));
  } catch (const Error& error) {
    log_warning(
        concat("traces: ", file.string(),
               " is used as it is; the program cannot tell what this config would generate: ", error.what()));
  }
}

/// The clock of the run on rank 0; elsewhere one that does nothing.
std::unique_ptr<RunClock> start_clock(const Config& config, const Workspace& workspace, World& world,
                                      const RunTraces& traces) {
  if (!world.leads()) return std::make_unique<RunClock>();
  const Transformer& model = workspace.model;
  const std::vector<SplitLengths> lengths =
      traces.to_come ? planned_lengths(config) : lengths_of(config, traces.splits);
  const RunNeeds needs = estimate_needs(config, model.shape(), model.options(), lengths,
                                        stages_of_run(config), {world.size(), world.local_size()});
  // The speed is only measured where there is something to expect.
  RunForecast forecast;
  if (forecast_run(config, lengths, needs, 1, 1).seconds() > 0)
    forecast = forecast_run(config, lengths, needs, measured_speed(model), world.size());
  return std::make_unique<RunClock>(RunFolder{config.output}, std::move(forecast));
}

/// Rank 0 opens and holds the run's folder for all ranks.
std::optional<OpenRun> open_for_all(const Config& config, World& world) {
  std::optional<OpenRun> run;
  if (world.leads()) run = open_run_folder(config);
  world.barrier("run folder open");
  return run;
}

/// Where everything lies, at the end of `foresight run`: what it is -> path.
std::vector<std::pair<std::string, std::string>> paths_of(const Config& config, const RunFolder& folder,
                                                          const std::filesystem::path& exported) {
  std::vector<std::pair<std::string, std::string>> paths = {
      {"oracle (HDF5)", folder.oracle().string() + "/*.h5"}};
  for (const Stage stage : kTrainingStages) {
    if (const auto best = best_checkpoint(folder.checkpoints(stage)))
      paths.emplace_back("checkpoint", best->string());
  }
  paths.emplace_back("exported scorer", exported.string());
  if (!config.data.evaluation.empty()) {
    paths.emplace_back("evaluation", folder.evaluation_file().string());
    paths.emplace_back("report", write_report(folder.root).string());
  }
  return paths;
}

void print_run(const std::optional<Json>& evaluation,
               const std::vector<std::pair<std::string, std::string>>& paths, OutputForm form) {
  if (form == OutputForm::kJson) {
    Json result = {{"evaluation", evaluation.value_or(Json())}, {"paths", Json::array()}};
    for (const auto& [what, path] : paths) result["paths"].push_back({{"what", what}, {"path", path}});
    return print(result.dump(2) + "\n");
  }
  std::string text = evaluation ? evaluation_table(*evaluation) : "";
  for (const auto& [what, path] : paths) text += what + std::string(18 - what.size(), ' ') + path + "\n";
  print(text);
}

}  // namespace

void command_stage(const Config& config, Stage stage, World& world, OutputForm form) {
  const std::optional<OpenRun> run = open_for_all(config, world);
  const Workspace workspace = open_workspace(config, world);
  RunTraces traces;
  if (world.leads()) traces = require_inputs(config, workspace, {stage});
  RunClock none;  // of a run: this is one stage
  const auto evaluation = run_stage(config, stage, workspace, world, none, traces.splits);
  if (!evaluation) return;
  if (form == OutputForm::kJson) {
    print(evaluation->dump(2) + "\n");
  } else {
    print(evaluation_table(*evaluation));
  }
}

std::filesystem::path command_report(const Config& config) {
  if (!is_there(config.output))
    return write_report(config.output);  // says what is missing, and makes no folder
  const OpenRun run = open_run_folder(config);
  return write_report(run.folder.root);
}

void command_run(const Config& config, World& world, OutputForm form) {
  const std::optional<OpenRun> run = open_for_all(config, world);
  const Workspace workspace = open_workspace(config, world);
  RunTraces traces;
  if (world.leads()) traces = require_inputs(config, workspace, stages_of_run(config));
  const std::unique_ptr<RunClock> clock = start_clock(config, workspace, world, traces);
  // A finished stage costs no more than finding that out.
  if (!config.traces.prompts.empty()) make_traces(config, workspace, world, *clock);
  if (traces.to_come) traces.splits = make_trace_splits(config, workspace.tokenizer, workspace.model.shape());
  run_stage(config, Stage::kOracle, workspace, world, *clock, traces.splits,
            {Stage::kSupervised, Stage::kGrpo, Stage::kEvaluate});
  run_stage(config, Stage::kSupervised, workspace, world, *clock);
  const Stage best = config.grpo.steps > 0 ? Stage::kGrpo : Stage::kSupervised;
  if (best == Stage::kGrpo) run_stage(config, best, workspace, world, *clock);
  std::filesystem::path exported;
  if (world.leads()) exported = command_export(config, to_string(best), "", ExportLayout::kForesight);
  std::optional<Json> evaluation;
  if (!config.data.evaluation.empty()) {
    evaluation = run_stage(config, Stage::kEvaluate, workspace, world, *clock);
  } else if (world.leads()) {
    log_warning("evaluate: data.evaluation names no files, so nothing is evaluated");
  }
  clock->finish();
  if (world.leads()) print_run(evaluation, paths_of(config, run->folder, exported), form);
}

}  // namespace foresight
