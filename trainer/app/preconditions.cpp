#include "trainer/app/preconditions.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/folder_path.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/evaluation/problems.h"
#include "trainer/evaluation/scored_traces.h"
#include "trainer/generation/traces_file.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/scorer/scorer.h"
#include "trainer/supervised/supervised_stage.h"
#include "trainer/training/checkpoint_folder.h"
#include "trainer/training/resumable.h"
#include "trainer/training/training_session.h"
#include "trainer/training/training_start.h"

namespace foresight {
namespace {

bool contains(const std::vector<Stage>& stages, Stage stage) {
  return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

/// Whether the traces stage, which is to run, writes this file.
bool is_to_come(const Config& config, const std::vector<Stage>& stages, const std::string& file) {
  if (!contains(stages, Stage::kTraces) || is_there(file)) return false;
  std::error_code none;
  return std::filesystem::weakly_canonical(file, none) ==
         std::filesystem::weakly_canonical(traces_file(config), none);
}

RunTraces check_traces(const Config& config, const Workspace& workspace, const std::vector<Stage>& stages) {
  RunTraces traces;
  for (const auto* files : {&config.data.train, &config.data.evaluation}) {
    for (const std::string& file : *files) {
      if (is_to_come(config, stages, file)) {
        traces.to_come = true;
      } else if (!is_there(file) && contains(stages, Stage::kTraces)) {
        throw Error(ErrorKind::kInput,
                    concat(file, ": cannot be opened; check the path (`foresight traces` writes ",
                           traces_file(config).string(), ")"));
      }
    }
  }
  if (!traces.to_come)
    traces.splits = make_trace_splits(config, workspace.tokenizer, workspace.model.shape());
  return traces;
}

void check_supervised(const Config& config, const ModelShape& shape) {
  require_resumable(config, Stage::kSupervised);
  if (!config.scorer.initial.empty()) load_initial_scorer(config, shape);
}

/// Whether the checkpoints of a stage are there, or one of `stages` makes them.
bool is_trained(const Config& config, const std::vector<Stage>& stages, Stage stage) {
  return contains(stages, stage) ||
         newest_checkpoint_step(RunFolder{config.output}.checkpoints(stage)).has_value();
}

void check_grpo(const Config& config, const ModelShape& shape, const std::vector<Stage>& stages) {
  require_resumable(config, Stage::kGrpo);
  if (!config.grpo.start.empty()) {
    require_features("grpo.start " + config.grpo.start, Scorer::load(config.grpo.start, shape).facts(),
                     config.scorer.features);
  } else if (!contains(stages, Stage::kSupervised)) {
    best_scorer_file(config.output, Stage::kSupervised);  // says what is missing
  }
}

void check_policies(const Config& config, const ModelShape& shape, const std::vector<Stage>& stages) {
  for (const std::string& policy : config.evaluation.policies) {
    if (is_scorer_path(policy)) Scorer::load(policy, shape);
    const std::optional<Stage> trainer = training_stage_named(policy);
    if (!trainer || is_trained(config, stages, *trainer)) continue;
    const bool left_out = trainer == Stage::kGrpo && config.grpo.steps == 0;
    throw Error(left_out ? ErrorKind::kConfig : ErrorKind::kInput,
                concat("evaluation.policies: ", policy, " has no checkpoint in ", config.output,
                       left_out ? ", and grpo.steps is 0: remove it from evaluation.policies, or train it"
                                : concat(": run `foresight ", policy, "` with this config, or remove it")));
  }
}

}  // namespace

RunTraces require_inputs(const Config& config, const Workspace& workspace, const std::vector<Stage>& stages) {
  const auto& [model, tokenizer] = workspace;
  require_no_file_in_the_way(config.output);
  // Also where the file is there, and `run` takes it as it is.
  if (!config.traces.prompts.empty() && stages.front() <= Stage::kOracle) require_traces_file(config);
  if (contains(stages, Stage::kTraces)) {
    require_prompts(config, model, tokenizer,
                    ChatTemplate::load(config.model.path, config.model.template_date));
  }
  RunTraces traces;
  if (contains(stages, Stage::kOracle)) traces = check_traces(config, workspace, stages);
  if (contains(stages, Stage::kSupervised)) check_supervised(config, model.shape());
  if (contains(stages, Stage::kGrpo)) check_grpo(config, model.shape(), stages);
  if (!contains(stages, Stage::kEvaluate)) return traces;
  check_policies(config, model.shape(), stages);
  require_generation_inputs(config, model, tokenizer);
  for (const TraceSplit& split : traces.splits) {
    if (split.name != "evaluation") continue;
    Completions completions;
    for (const TokenRow& trace : split.traces) completions.push_back(trace.completion);
    require_scored_tokens(completions, config);
    require_continued_prompts(config, model, completions);
  }
  return traces;
}

}  // namespace foresight
