#include "trainer/runs/list_runs.h"

#include <array>
#include <cmath>
#include <ctime>

#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/runs/json_values.h"
#include "trainer/runs/text_table.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : one_line(text);
}

std::string stage_cell(const StageFacts& stage) {
  if (stage.progress == StageProgress::kAbsent) return "-";
  if (stage.progress == StageProgress::kDone) return "done";
  return concat(stage.step.value_or(0), "/", stage.steps ? concat(*stage.steps) : "?");
}

std::string measure_cell(const RunFacts& run) {
  const auto measure = judged_by(run);
  if (!measure) return "-";
  return concat(measure->name, " ", number_text(measure->value), " @ ", measure->step);
}

/// Adds "name +0.0123" of the policy with the lowest loss rise among those that `counts` lets through.
template <class Counts>
void add_best(std::vector<std::string>& parts, const EvaluationData& evaluation, const Counts& counts) {
  const PolicyMeasures* best = nullptr;
  for (const PolicyMeasures& policy : evaluation.main.policies) {
    const double rise = policy.scalar("loss_rise");
    if (!counts(policy.name) || std::isnan(rise)) continue;
    if (best == nullptr || rise < best->scalar("loss_rise")) best = &policy;
  }
  if (best == nullptr) return;
  parts.push_back(concat(one_line(evaluation.styles.of(best->name).name), " ",
                         loss_text(best->scalar("loss_rise"), /*sign=*/true)));
}

/// The best scorer and the best hand-written rule.
std::string evaluation_cell(const RunFacts& run) {
  if (!run.evaluation) return "-";
  std::vector<std::string> parts;
  add_best(parts, *run.evaluation,
           [&](const std::string& name) { return run.evaluation->styles.of(name).scorer; });
  add_best(parts, *run.evaluation, [](const std::string& name) { return is_rule(name); });
  return parts.empty() ? "-" : join(parts, ", ");
}

std::string size_cell(const RunFacts& run) {
  return run.config ? concat(run.config->eviction.budget, "/", run.config->eviction.window) : "-";
}

template <class Number>
Json or_null(const std::optional<Number>& number) {
  return number ? Json(*number) : Json();
}

Json stages_json(const RunFacts& run) {
  Json stages = Json::object();
  for (const StageFacts& stage : run.stages) {
    const char* state = stage.progress == StageProgress::kDone      ? "done"
                        : stage.progress == StageProgress::kPartial ? "partial"
                                                                    : "absent";
    stages[to_string(stage.stage)] = {
        {"state", state}, {"step", or_null(stage.step)}, {"steps", or_null(stage.steps)}};
  }
  return stages;
}

Json evaluation_json(const RunFacts& run) {
  if (!run.evaluation) return nullptr;
  const BudgetResult& main = run.evaluation->main;
  Json rises = Json::object();
  for (const PolicyMeasures& policy : main.policies)
    rises[json_text(policy.name)] = number_or_null(policy.scalar("loss_rise"));
  return {{"budget", main.budget}, {"window", main.window}, {"loss_rise", rises}};
}

Json run_json(const RunFacts& run) {
  Json json = {{"path", json_text(run.folder.string())},
               {"model", run.config ? Json(json_text(model_name(run))) : Json()},
               {"budget", run.config ? Json(run.config->eviction.budget) : Json()},
               {"window", run.config ? Json(run.config->eviction.window) : Json()},
               {"stages", stages_json(run)},
               {"measure", nullptr},
               {"evaluation", evaluation_json(run)},
               {"changed", run.changed == 0 ? Json() : Json(date_text(run.changed))},
               {"faults", run.faults}};
  if (const auto measure = judged_by(run)) {
    json["measure"] = {{"stage", to_string(measure->stage)},
                       {"name", measure->name},
                       {"value", number_or_null(measure->value)},
                       {"step", measure->step}};
  }
  return json;
}

}  // namespace

std::vector<std::string> runs_headings(const std::vector<RunFacts>& runs) {
  std::vector<std::string> headings;
  if (runs.empty()) return headings;
  for (const StageFacts& stage : runs.front().stages) headings.push_back(to_string(stage.stage));
  for (const char* heading :
       {"budget/window", "model", "measure @ step", "evaluated loss rise", "changed (UTC)"})
    headings.emplace_back(heading);
  return headings;
}

std::vector<std::string> run_cells(const RunFacts& run) {
  std::vector<std::string> cells;
  for (const StageFacts& stage : run.stages) cells.push_back(stage_cell(stage));
  const std::string date = date_text(run.changed);
  for (const std::string& cell :
       {size_cell(run), or_dash(model_name(run)), measure_cell(run), evaluation_cell(run),
        date.empty() ? "-" : concat(date.substr(0, 10), " ", date.substr(11, 5))})
    cells.push_back(cell);
  return cells;
}

std::string runs_text(const std::vector<RunFacts>& runs, const std::string& directory) {
  if (runs.empty()) return concat("no runs below ", one_line(directory), " (folders with a config.yaml)\n");
  std::vector<TextColumn> columns = {{"run"}};
  for (const std::string& heading : runs_headings(runs)) columns.push_back({heading});
  std::vector<std::vector<std::string>> rows;
  std::string faults;
  for (const RunFacts& run : runs) {
    std::vector<std::string> cells = {or_dash(run.folder.string())};
    for (std::string& cell : run_cells(run)) cells.push_back(std::move(cell));
    if (!run.faults.empty()) cells.back() += "  FAULTY";
    rows.push_back(std::move(cells));
    for (const std::string& fault : run.faults) faults += concat("fault: ", fault, "\n");
  }
  return text_table(columns, rows) + (faults.empty() ? "" : "\n" + faults);
}

nlohmann::ordered_json runs_json(const std::vector<RunFacts>& runs) {
  Json all = Json::array();
  for (const RunFacts& run : runs) all.push_back(run_json(run));
  return all;
}

std::string date_text(std::int64_t seconds_since_1970) {
  if (seconds_since_1970 == 0) return "";
  const auto seconds = static_cast<std::time_t>(seconds_since_1970);
  std::tm parts = {};
  std::array<char, 64> text{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace foresight
