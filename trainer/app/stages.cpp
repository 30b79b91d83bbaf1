#include <iostream>
#include <optional>

#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_stage.h"
#include "trainer/app/commands.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/evaluation/evaluation_json.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/report/report.h"
#include "trainer/supervised/supervised_stage.h"
#include "trainer/training/run_folder.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

void run_stage(const Config& config, const std::string& stage, const Workspace& workspace, World& world) {
  const auto& [model, tokenizer] = workspace;
  if (stage == "traces") {
    run_traces(config, model, tokenizer, ChatTemplate::load(config.model.path), world);
  } else if (stage == "oracle") {
    // The first stage to write much: better refused now than hours later.
    if (world.leads()) {
      const auto splits = make_trace_splits(config, tokenizer, model.shape().vocabulary_size);
      RunNeeds needs = estimate_needs(config, model.shape(), splits);
      needs.memory_bytes *= static_cast<std::uint64_t>(world.local_size());
      require_room(config, needs, machine_room(config));
    }
    run_oracle(config, model, tokenizer, world);
  } else if (stage == "supervised") {
    run_supervised(config, model, tokenizer, world);
  } else if (stage == "grpo") {
    run_grpo(config, model, tokenizer, world);
  } else if (stage == "evaluate") {
    const auto evaluation = run_evaluate(config, model, tokenizer, world);
    if (world.leads()) std::cout << evaluation_table(evaluation) << std::flush;
  } else {
    throw Error(ErrorKind::kInternal, "no stage named " + stage);
  }
}

/// Rank 0 opens and holds the run's folder, for all.
std::optional<OpenRun> open_for_all(const Config& config, World& world) {
  std::optional<OpenRun> run;
  if (world.leads()) run = open_run_folder(config);
  world.barrier("run folder open");
  return run;
}

/// Where everything lies, at the end of `foresight run`.
void print_paths(const Config& config, const RunFolder& folder, const std::filesystem::path& exported) {
  std::cout << "oracle (HDF5)     " << folder.oracle().string() << "/*.h5\n";
  for (const char* stage : {"supervised", "grpo"}) {
    if (stage_finished(config.output, stage, 0)) {
      std::cout << "checkpoint        " << best_scorer_file(config.output, stage).parent_path().string()
                << "\n";
    }
  }
  std::cout << "exported scorer   " << exported.string() << "\n";
  if (!config.data.evaluation.empty()) {
    std::cout << "evaluation        " << folder.evaluation_file().string() << "\n"
              << "report            " << write_report(folder.root).string() << "\n";
  }
  std::cout << std::flush;
}

}  // namespace

void command_stage(const Config& config, const std::string& stage, World& world) {
  const std::optional<OpenRun> run = open_for_all(config, world);
  run_stage(config, stage, open_workspace(config, world), world);
}

std::filesystem::path command_report(const Config& config) {
  const OpenRun run = open_run_folder(config);
  return write_report(run.folder.root);
}

void command_run(const Config& config, World& world) {
  const std::optional<OpenRun> run = open_for_all(config, world);
  const Workspace workspace = open_workspace(config, world);
  const auto stage = [&](const char* name) { run_stage(config, name, workspace, world); };
  // A finished stage costs no more than finding that out.
  if (!config.traces.prompts.empty() &&
      !world.broadcast_flags({std::filesystem::exists(traces_file(config))}, "traces file").front())
    stage("traces");
  stage("oracle");
  if (config.supervised.steps > 0) stage("supervised");
  if (config.grpo.steps > 0) stage("grpo");
  const std::string best = config.grpo.steps > 0 ? "grpo" : "supervised";
  std::filesystem::path exported;
  if (world.leads()) exported = command_export(config, best, "", ExportLayout::kForesight);
  if (!config.data.evaluation.empty()) {
    stage("evaluate");
  } else if (world.leads()) {
    log_warning("evaluate: data.evaluation names no files, so nothing is evaluated");
  }
  if (world.leads()) print_paths(config, run->folder, exported);
}

}  // namespace foresight
