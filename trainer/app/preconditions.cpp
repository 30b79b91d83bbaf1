#include "trainer/app/preconditions.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/manifest.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/problems.h"
#include "trainer/evaluation/scored_traces.h"
#include "trainer/generation/traces_stage.h"
#include "trainer/scorer/scorer.h"
#include "trainer/training/training_session.h"

namespace foresight {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_there(const std::filesystem::path& file) {
  std::error_code none;
  return std::filesystem::exists(file, none);
}

/// Whether the traces stage, which is to run, writes this file.
bool is_to_come(const Config& config, const std::vector<std::string>& stages, const std::string& file) {
  if (!contains(stages, "traces") || is_there(file)) return false;
  std::error_code none;
  return std::filesystem::weakly_canonical(file, none) ==
         std::filesystem::weakly_canonical(traces_file(config), none);
}

RunTraces check_traces(const Config& config, const Workspace& workspace,
                       const std::vector<std::string>& stages) {
  RunTraces traces;
  for (const auto* files : {&config.data.train, &config.data.evaluation}) {
    for (const std::string& file : *files) {
      if (is_to_come(config, stages, file)) {
        traces.to_come = true;
      } else if (!is_there(file) && contains(stages, "traces")) {
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

/// Throws unless the checkpoint that a stage is to resume from is there and whole.
void check_resume(const std::string& stage, const CheckpointConfig& checkpoint) {
  if (checkpoint.resume == "auto" || checkpoint.resume == "never") return;
  if (!std::filesystem::is_directory(checkpoint.resume)) {
    throw Error(ErrorKind::kInput, concat(stage, ".resume: no checkpoint folder at ", checkpoint.resume,
                                          " (auto takes the newest, never starts anew)"));
  }
  read_manifest(checkpoint.resume);
}

void check_supervised(const Config& config, const ModelShape& shape) {
  check_resume("supervised", config.supervised.checkpoint);
  if (config.scorer.initial.empty()) return;
  if (Scorer::load(config.scorer.initial, shape).facts().features == config.scorer.features) return;
  throw Error(ErrorKind::kConfig, concat("scorer.initial ", config.scorer.initial,
                                         " was trained on other features than scorer.features asks for"));
}

/// Whether the checkpoints of a stage are there, or one of `stages` makes them.
bool is_trained(const Config& config, const std::vector<std::string>& stages, const std::string& stage) {
  return contains(stages, stage) || stage_finished(config.output, stage, 0);
}

void check_grpo(const Config& config, const ModelShape& shape, const std::vector<std::string>& stages) {
  check_resume("grpo", config.grpo.checkpoint);
  if (!config.grpo.start.empty()) {
    Scorer::load(config.grpo.start, shape);
  } else if (!contains(stages, "supervised")) {
    best_scorer_file(config.output, "supervised");  // says what is missing
  }
}

void check_policies(const Config& config, const ModelShape& shape, const std::vector<std::string>& stages) {
  for (const std::string& policy : config.evaluation.policies) {
    if (policy.ends_with(".safetensors")) Scorer::load(policy, shape);
    if ((policy != "supervised" && policy != "grpo") || is_trained(config, stages, policy)) continue;
    const bool left_out = policy == "grpo" && config.grpo.steps == 0;
    throw Error(left_out ? ErrorKind::kConfig : ErrorKind::kInput,
                concat("evaluation.policies: ", policy, " has no checkpoint in ", config.output,
                       left_out ? ", and grpo.steps is 0: take it out of evaluation.policies, or train it"
                                : concat(": run `foresight ", policy, "` with this config, or take it out")));
  }
}

}  // namespace

std::vector<std::string> stages_of_run(const Config& config) {
  std::vector<std::string> stages;
  if (!config.traces.prompts.empty() && !is_there(traces_file(config))) stages.emplace_back("traces");
  stages.insert(stages.end(), {"oracle", "supervised"});
  if (config.grpo.steps > 0) stages.emplace_back("grpo");
  if (!config.data.evaluation.empty()) stages.emplace_back("evaluate");
  return stages;
}

RunTraces require_inputs(const Config& config, const Workspace& workspace,
                         const std::vector<std::string>& stages) {
  const auto& [model, tokenizer] = workspace;
  if (contains(stages, "traces")) {
    require_prompts(config, model, tokenizer,
                    ChatTemplate::load(config.model.path, config.model.template_date));
  }
  RunTraces traces;
  if (contains(stages, "oracle")) traces = check_traces(config, workspace, stages);
  if (contains(stages, "supervised")) check_supervised(config, model.shape());
  if (contains(stages, "grpo")) check_grpo(config, model.shape(), stages);
  if (!contains(stages, "evaluate")) return traces;
  check_policies(config, model.shape(), stages);
  require_generation_inputs(config, model, tokenizer);
  for (const TraceSplit& split : traces.splits) {
    if (split.name != "evaluation") continue;
    Completions completions;
    for (const TokenRow& trace : split.traces) completions.push_back(trace.completion);
    require_scored_tokens(completions, config);
  }
  return traces;
}

}  // namespace foresight
