// Loss rise against budget and against context.
#include <map>
#include <set>
#include <utility>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/rise_figure.h"
#include "trainer/report/sections.h"

namespace foresight {
namespace {

/// What a reader must know of the sweep's tokens and windows.
std::string sweep_caption(const std::map<std::int64_t, const BudgetResult*>& results,
                          const BudgetResult& main) {
  std::set<std::int64_t> windows;
  std::set<double> starts;
  std::vector<std::string> sizes;
  for (const auto& [budget, result] : results) {
    windows.insert(result->window);
    sizes.push_back(concat(budget, "/", result->window));
    if (result->first_scored) starts.insert(*result->first_scored);
  }
  std::string text;
  if (windows.size() > 1) text += concat("Windows differ; budget/window: ", join(sizes, ", "), ". ");
  if (starts.size() == 1) {
    text += concat("At every budget of the sweep, tokens are scored from position ",
                   format_count(*starts.begin()), " on. ");
  }
  if (starts.size() > 1)
    text += "Scoring begins at a different position for each budget, which moves the lines too. ";
  if (results.at(main.budget) == &main)
    text += concat("The point at budget ", main.budget, " is the main table's, over its own tokens.");
  return text;
}

/// Adds the line of a policy that has any number. Full KV is zero by definition, and stands in the table
/// only.
void add_line(std::vector<RiseLine>& lines, const EvaluationData& data, const std::string& policy,
              std::map<std::int64_t, double> rise_at) {
  if (!rise_at.empty()) lines.push_back({data.styles.of(policy), std::move(rise_at), policy != "full"});
}

}  // namespace

std::string budget_section(const EvaluationData& data) {
  const auto results = results_by_budget(data);
  if (results.size() < 2) return "";
  std::vector<RiseLine> lines;
  std::set<std::string> known;
  for (const auto& [budget, result] : results) {
    for (const PolicyMeasures& policy : result->policies) {
      if (known.insert(policy.name).second)
        add_line(lines, data, policy.name, rise_by_budget(results, policy.name));
    }
  }
  return rise_figure(
      {.title = "Loss rise against budget",
       .description = "One line for each policy: mean rise of the loss over full KV at each budget",
       .x_label = "budget, entries per KV head (log scale)",
       .corner = "budget",
       .caption = sweep_caption(results, data.main)},
      lines);
}

std::string context_section(const EvaluationData& data) {
  std::vector<RiseLine> lines;
  std::set<std::int64_t> ends;
  for (const PolicyMeasures& policy : data.main.policies) {
    std::map<std::int64_t, double> rise_at;
    for (const RiseAtPosition& rise : policy.by_position) {
      rise_at[rise.end] = rise.loss_rise;
      ends.insert(rise.end);
    }
    add_line(lines, data, policy.name, std::move(rise_at));
  }
  if (ends.size() < 2) return "";
  return rise_figure(
      {.title = "Loss rise against context",
       .description = "One line for each policy: mean rise on the scored tokens before each position",
       .x_label = "context, tokens (log scale)",
       .corner = "context",
       .caption = concat("Each point is the rise on the scored tokens before that position, at budget ",
                         data.main.budget, ".")},
      lines);
}

}  // namespace foresight
