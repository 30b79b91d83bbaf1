// Loss rise against budget and against context.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

/// A policy's rise over budgets or positions, in rising order.
struct RiseLine {
  std::string policy;
  std::map<std::int64_t, double> rise_at;
};

std::string signed_four(double value) {
  return format_signed(value, 4);
}

RiseLine& line_of(std::vector<RiseLine>& lines, const std::string& policy) {
  const auto found =
      std::find_if(lines.begin(), lines.end(), [&](const RiseLine& line) { return line.policy == policy; });
  return found == lines.end() ? lines.emplace_back(RiseLine{policy, {}}) : *found;
}

double threshold_of(const std::vector<RiseLine>& lines) {
  std::vector<double> values;
  for (const RiseLine& line : lines) {
    for (const auto& [x, rise] : line.rise_at) values.push_back(rise);
  }
  return symlog_threshold(values);
}

std::string rise_plot(const std::string& title, const std::string& description, const std::string& x_label,
                      const std::set<std::int64_t>& ticks, const std::vector<RiseLine>& lines,
                      const PolicyStyles& styles) {
  LinePlot plot{
      .title = title,
      .description = description,
      .x = {.label = x_label, .scale = Scale::kLog, .ticks = ends_first({ticks.begin(), ticks.end()})},
      .y = {.label = "loss rise, nats per token",
            .scale = Scale::kSymlog,
            .linear_below = threshold_of(lines),
            .at_least_from = 0.0},
      .series = {},
      .height = 310};
  for (const RiseLine& line : lines) {
    if (line.policy == "full") continue;  // zero by definition
    PlotSeries series{styles.of(line.policy), {}};
    for (const auto& [x, rise] : line.rise_at) series.points.push_back({static_cast<double>(x), rise});
    plot.series.push_back(series);
  }
  return svg_line_plot(plot);
}

/// The plot with its caption, and its numbers folded away; empty when there is nothing to plot.
std::string plot_and_numbers(const std::string& plot, const std::string& caption, const std::string& corner,
                             const std::set<std::int64_t>& columns, const std::vector<RiseLine>& lines,
                             const PolicyStyles& styles) {
  if (plot.empty()) return "";
  std::vector<std::string> headings;
  for (const std::int64_t column : columns) headings.push_back(format_count(static_cast<double>(column)));
  std::vector<NamedNumbers> rows;
  for (const RiseLine& line : lines) {
    NamedNumbers row{line.policy, {}};
    for (const std::int64_t column : columns) {
      const auto found = line.rise_at.find(column);
      row.numbers.push_back(found == line.rise_at.end() ? NAN : found->second);
    }
    rows.push_back(row);
  }
  const std::string scale = concat("The vertical scale is linear up to ±", format_tick(threshold_of(lines)),
                                   " and logarithmic beyond. Lower is better; zero is full KV. ");
  return concat("<figure class=\"wide\">", plot, "<figcaption>", escape_html(scale + caption),
                "</figcaption></figure>\n",
                folded("These numbers as a table", numbers_table(concat("Loss rise by ", corner), corner,
                                                                 headings, rows, styles, signed_four)));
}

/// One entry for each budget. Of several with the same budget, one of the sweep is taken before the main one,
/// because the budgets of a sweep share their tokens, and one with the main window before others.
std::map<std::int64_t, const BudgetResult*> results_by_budget(const EvaluationData& data) {
  std::map<std::int64_t, const BudgetResult*> chosen;
  for (const BudgetResult& entry : data.sweep) {
    const auto [place, is_new] = chosen.emplace(entry.budget, &entry);
    if (!is_new && entry.window == data.main.window) place->second = &entry;
  }
  chosen.emplace(data.main.budget, &data.main);
  return chosen;
}

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

}  // namespace

std::string budget_section(const EvaluationData& data) {
  const auto results = results_by_budget(data);
  if (results.size() < 2) return "";
  std::vector<RiseLine> lines;
  std::set<std::int64_t> budgets;
  for (const auto& [budget, result] : results) {
    budgets.insert(budget);
    for (const PolicyMeasures& policy : result->policies) {
      if (policy.scalars.contains("loss_rise"))
        line_of(lines, policy.name).rise_at[budget] = policy.scalar("loss_rise");
    }
  }
  const std::string plot =
      rise_plot("Loss rise against budget",
                "One line for each policy: mean rise of the loss over full KV at each budget",
                "budget, entries per KV head (log scale)", budgets, lines, data.styles);
  return plot_and_numbers(plot, sweep_caption(results, data.main), "budget", budgets, lines, data.styles);
}

std::string context_section(const EvaluationData& data) {
  std::vector<RiseLine> lines;
  std::set<std::int64_t> ends;
  for (const PolicyMeasures& policy : data.main.policies) {
    for (const RiseAtPosition& rise : policy.by_position) {
      line_of(lines, policy.name).rise_at[rise.end] = rise.loss_rise;
      ends.insert(rise.end);
    }
  }
  if (ends.size() < 2) return "";
  const std::string plot =
      rise_plot("Loss rise against context",
                "One line for each policy: mean rise on the scored tokens before each position",
                "context, tokens (log scale)", ends, lines, data.styles);
  const std::string caption = concat(
      "Each point is the rise on the scored tokens before that position, at budget ", data.main.budget, ".");
  return plot_and_numbers(plot, caption, "context", ends, lines, data.styles);
}

}  // namespace foresight
