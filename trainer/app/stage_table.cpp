#include "trainer/app/stage_table.h"

#include <array>
#include <filesystem>
#include <system_error>

#include "golden_eviction/oracle_stage.h"
#include "trainer/app/training_stages.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/generation/traces_stage.h"

namespace foresight {
namespace {

using Found = std::optional<nlohmann::ordered_json>;

/// A stage whose only result is files.
template <auto run>
Found run_for_files(const Config& config, const Workspace& workspace, World& world) {
  run(config, workspace.model, workspace.tokenizer, world);
  return std::nullopt;
}

Found run_traces_stage(const Config& config, const Workspace& workspace, World& world) {
  const auto& [model, tokenizer] = workspace;
  run_traces(config, model, tokenizer, ChatTemplate::load(config.model.path, config.model.template_date),
             world);
  return std::nullopt;
}

Found run_evaluate_stage(const Config& config, const Workspace& workspace, World& world) {
  nlohmann::ordered_json evaluation = run_evaluate(config, workspace.model, workspace.tokenizer, world);
  return world.leads() ? Found(std::move(evaluation)) : std::nullopt;
}

constexpr std::array<StageEntry, 5> kTable = {
    {{Stage::kTraces, traces_needs, run_traces_stage},
     {Stage::kOracle, oracle_needs, run_for_files<run_oracle>},
     {Stage::kSupervised, supervised_needs, run_for_files<run_supervised>},
     {Stage::kGrpo, grpo_needs, run_for_files<run_grpo>},
     {Stage::kEvaluate, evaluate_needs, run_evaluate_stage}}};

constexpr bool is_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].stage != static_cast<Stage>(i)) return false;
  }
  return true;
}
static_assert(is_in_order(), "a stage's row is found by its number");

}  // namespace

const StageEntry& stage_entry(Stage stage) {
  return kTable.at(static_cast<std::size_t>(stage));
}

std::vector<Stage> stages_of_run(const Config& config) {
  std::vector<Stage> stages;
  std::error_code none;
  if (!config.traces.prompts.empty() && !std::filesystem::exists(traces_file(config), none))
    stages.push_back(Stage::kTraces);
  stages.insert(stages.end(), {Stage::kOracle, Stage::kSupervised});
  if (config.grpo.steps > 0) stages.push_back(Stage::kGrpo);
  if (!config.data.evaluation.empty()) stages.push_back(Stage::kEvaluate);
  return stages;
}

}  // namespace foresight
