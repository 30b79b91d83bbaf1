#include "trainer/report/rise_figure.h"

#include <cmath>
#include <set>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

double threshold_of(const std::vector<RiseLine>& lines) {
  std::vector<double> values;
  for (const RiseLine& line : lines) {
    for (const auto& [x, rise] : line.rise_at) values.push_back(rise);
  }
  return symlog_threshold(values);
}

std::string rise_plot(const RiseFigure& what, const std::set<std::int64_t>& ticks,
                      const std::vector<RiseLine>& lines) {
  LinePlot plot{
      .title = what.title,
      .description = what.description,
      .x = {.label = what.x_label, .scale = Scale::kLog, .ticks = ends_first({ticks.begin(), ticks.end()})},
      .y = {.label = "loss rise, nats per token",
            .scale = Scale::kSymlog,
            .linear_below = threshold_of(lines),
            .at_least_from = 0.0},
      .series = {},
      .height = 310};
  for (const RiseLine& line : lines) {
    if (!line.drawn) continue;
    PlotSeries series{line.style, {}};
    for (const auto& [x, rise] : line.rise_at) series.points.push_back({static_cast<double>(x), rise});
    plot.series.push_back(series);
  }
  return svg_line_plot(plot);
}

std::string rise_table(const RiseFigure& what, const std::set<std::int64_t>& columns,
                       const std::vector<RiseLine>& lines) {
  std::vector<std::string> headings = {escape_html(what.corner)};
  for (const std::int64_t column : columns) headings.push_back(format_count(static_cast<double>(column)));
  std::vector<TableRow> rows;
  for (const RiseLine& line : lines) {
    rows.push_back({style_heading(line.style), {}, line.style.scorer});
    for (const std::int64_t column : columns) {
      const auto found = line.rise_at.find(column);
      rows.back().cells.push_back(format_signed(found == line.rise_at.end() ? NAN : found->second, 4));
    }
  }
  return html_table(concat("Loss rise by ", what.corner), headings, rows);
}

}  // namespace

std::string rise_figure(const RiseFigure& what, const std::vector<RiseLine>& lines) {
  std::set<std::int64_t> columns;
  for (const RiseLine& line : lines) {
    for (const auto& [x, rise] : line.rise_at) columns.insert(x);
  }
  const std::string plot = rise_plot(what, columns, lines);
  if (plot.empty()) return "";
  const std::string scale = concat("The vertical scale is linear up to ±", format_tick(threshold_of(lines)),
                                   " and logarithmic beyond. Lower is better; zero is full KV. ");
  return concat("<figure class=\"wide\">", plot, "<figcaption>", escape_html(scale + what.caption),
                "</figcaption></figure>\n",
                folded("These numbers as a table", rise_table(what, columns, lines)));
}

std::map<std::int64_t, const BudgetResult*> results_by_budget(const EvaluationData& data) {
  std::map<std::int64_t, const BudgetResult*> chosen;
  for (const BudgetResult& entry : data.sweep) {
    const auto [place, is_new] = chosen.emplace(entry.budget, &entry);
    if (!is_new && entry.window == data.main.window) place->second = &entry;
  }
  chosen.emplace(data.main.budget, &data.main);
  return chosen;
}

std::map<std::int64_t, double> rise_by_budget(const std::map<std::int64_t, const BudgetResult*>& results,
                                              const std::string& policy) {
  std::map<std::int64_t, double> rise_at;
  for (const auto& [budget, result] : results) {
    for (const PolicyMeasures& measures : result->policies) {
      if (measures.name == policy && measures.scalars.contains("loss_rise"))
        rise_at[budget] = measures.scalar("loss_rise");
    }
  }
  return rise_at;
}

}  // namespace foresight
