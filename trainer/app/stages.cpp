#include <iostream>

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

void run_stage(const Config& config, const std::string& stage, const Workspace& workspace) {
  const auto& [model, tokenizer] = workspace;
  if (stage == "traces") {
    run_traces(config, model, tokenizer, ChatTemplate::load(config.model.path));
  } else if (stage == "oracle") {
    // The first stage to write much: better refused now than hours later.
    const auto splits = make_trace_splits(config, tokenizer, model.shape().vocabulary_size);
    require_room(config, estimate_needs(config, model.shape(), splits), machine_room(config));
    run_oracle(config, model, tokenizer);
  } else if (stage == "supervised") {
    run_supervised(config, model, tokenizer);
  } else if (stage == "grpo") {
    run_grpo(config, model, tokenizer);
  } else if (stage == "evaluate") {
    std::cout << evaluation_table(run_evaluate(config, model, tokenizer)) << std::flush;
  } else {
    throw Error(ErrorKind::kInternal, "no stage named " + stage);
  }
}

}  // namespace

void command_stage(const Config& config, const std::string& stage) {
  const OpenRun run = open_run_folder(config);
  run_stage(config, stage, open_workspace(config));
}

std::filesystem::path command_report(const Config& config) {
  const OpenRun run = open_run_folder(config);
  return write_report(run.folder.root);
}

void command_run(const Config& config) {
  const OpenRun run = open_run_folder(config);
  const Workspace workspace = open_workspace(config);
  // A finished stage costs no more than finding that out.
  if (!config.traces.prompts.empty() && !std::filesystem::exists(traces_file(config)))
    run_stage(config, "traces", workspace);
  run_stage(config, "oracle", workspace);
  if (config.supervised.steps > 0) run_stage(config, "supervised", workspace);
  if (config.grpo.steps > 0) run_stage(config, "grpo", workspace);
  const std::string best = config.grpo.steps > 0 ? "grpo" : "supervised";
  const std::filesystem::path exported = command_export(config, best, "", ExportLayout::kForesight);
  if (config.data.evaluation.empty()) {
    log_warning("evaluate: data.evaluation names no files, so nothing is evaluated");
  } else {
    run_stage(config, "evaluate", workspace);
  }
  const RunFolder& folder = run.folder;
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

}  // namespace foresight
