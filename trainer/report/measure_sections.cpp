// Tails of the loss rise, which entries are held, and facts that a text states once.
#include <algorithm>
#include <cmath>
#include <set>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/policy_style.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

std::string signed_four(double value) {
  return format_signed(value, 4);
}
std::string two_digits(double value) {
  return format_fixed(value, 2);
}
/// Policies as rows of a table of their scalars.
std::vector<NamedScalars> scalars_of(const std::vector<PolicyMeasures>& policies) {
  std::vector<NamedScalars> rows;
  for (const PolicyMeasures& policy : policies) rows.push_back({policy.name, policy.scalars});
  return rows;
}

std::string wide_figure(const std::string& plot, const std::string& caption) {
  if (plot.empty()) return "";
  return concat("<figure class=\"wide\">", plot, "<figcaption>", escape_html(caption),
                "</figcaption></figure>\n");
}

std::string tails_plot(const std::vector<PolicyMeasures>& policies, const PolicyStyles& styles) {
  std::vector<double> rises;
  LinePlot plot{.title = "Tails of the loss rise",
                .description = "One line a policy: the rise that a share of the tokens reaches or exceeds",
                .x = {.label = "one token in N (log scale)",
                      .scale = Scale::kLog,
                      .ticks = {1000, 2, 100, 10, 20, 200}},
                .y = {.label = "rise of a token's loss, nats", .scale = Scale::kSymlog, .at_least_from = 0.0},
                .series = {},
                .height = 310};
  for (const PolicyMeasures& policy : policies) {
    if (policy.name == "full" || policy.tail.empty()) continue;  // zero by definition
    PlotSeries series{styles.of(policy.name), {}};
    for (const RiseOfShare& point : policy.tail) {
      series.points.push_back({point.share > 0 ? 1 / point.share : NAN, point.rise});
      rises.push_back(point.rise);
    }
    std::sort(series.points.begin(), series.points.end(),
              [](const PlotPoint& a, const PlotPoint& b) { return a.x < b.x; });
    plot.series.push_back(std::move(series));
  }
  plot.y.linear_below = symlog_threshold(rises);
  return svg_line_plot(plot);
}

std::string survival_plot(const std::vector<PolicyMeasures>& policies, const PolicyStyles& styles) {
  LinePlot plot{.title = "Survival of the prompt",
                .description = "One line a policy: share of the prompt's entries live after each eviction",
                .x = {.label = "evictions", .at_least_from = 0.0},
                .y = {.label = "share of the prompt's entries", .at_least_from = 0.0, .at_least_to = 1.0},
                .series = {},
                .height = 310};
  for (const PolicyMeasures& policy : policies) {
    if (policy.prompt_live.empty()) continue;
    PlotSeries series{styles.of(policy.name), {}};
    for (std::size_t i = 0; i < policy.prompt_live.size(); ++i)
      series.points.push_back({static_cast<double>(i + 1), policy.prompt_live[i]});
    series.markers = policy.prompt_live.size() <= 20;
    plot.series.push_back(std::move(series));
  }
  return svg_line_plot(plot);
}

std::string recall_plot(const RecallResult& recall, const PolicyStyles& styles) {
  const std::set<double> ticks(recall.evictions.begin(), recall.evictions.end());
  LinePlot plot{.title = "Recall of planted facts",
                .description = "One line a policy: recall R against the evictions since the fact",
                .x = {.label = "evictions between the fact and the question",
                      .ticks = ends_first({ticks.begin(), ticks.end()})},
                .y = {.label = "recall R", .at_least_from = 0.0, .at_least_to = 1.0},
                .series = {},
                .height = 310};
  for (const RecallPolicy& policy : recall.policies) {
    PlotSeries series{styles.of(policy.name), {}};
    for (std::size_t i = 0; i < recall.evictions.size(); ++i)
      series.points.push_back({recall.evictions[i], policy.recall[i]});
    std::sort(series.points.begin(), series.points.end(),
              [](const PlotPoint& a, const PlotPoint& b) { return a.x < b.x; });
    plot.series.push_back(std::move(series));
  }
  return svg_line_plot(plot);
}

/// "0.52 [0.31, 0.70]", and the share of answers that greedy decoding says.
std::string recall_cell(const RecallPolicy& policy, std::size_t distance) {
  std::string text = two_digits(policy.recall[distance]);
  if (!std::isnan(policy.low[distance]) && !std::isnan(policy.high[distance]))
    text += concat(" [", two_digits(policy.low[distance]), ", ", two_digits(policy.high[distance]), "]");
  return concat(text, "<br><small>found ", format_percent(policy.found[distance]), "</small>");
}

std::string recall_table(const RecallResult& recall, const PolicyStyles& styles) {
  std::vector<std::string> columns = {"policy"};
  for (const double evictions : recall.evictions)
    columns.push_back(concat("after ", format_count(evictions)));
  std::vector<TableRow> rows = {{style_heading(styles.of("full")), {}, false}};
  for (const double found : recall.full_found)
    rows[0].cells.push_back(concat("1 by definition<br><small>found ", format_percent(found), "</small>"));
  for (const RecallPolicy& policy : recall.policies) {
    TableRow row{style_heading(styles.of(policy.name)), {}, styles.of(policy.name).scorer};
    for (std::size_t i = 0; i < recall.evictions.size(); ++i) row.cells.push_back(recall_cell(policy, i));
    rows.push_back(std::move(row));
  }
  return html_table("Recall of planted facts by evictions since", columns, rows);
}

}  // namespace

std::string tails_section(const EvaluationData& data) {
  const std::string table =
      scalar_table("Tails of the rise of single tokens",
                   {{"rise_p95", "95th percentile", signed_four},
                    {"rise_p99", "99th percentile", signed_four},
                    {"large_rise_share", "tokens that rise by over 1.5 nats", format_percent},
                    {"worst_percent_share", "share of all rise in the worst 1 %", format_percent},
                    {"worst_window_rise", "worst window of a trace", signed_four}},
                   scalars_of(data.main.policies), data.styles);
  const std::string plot = wide_figure(tails_plot(data.main.policies, data.styles),
                                       "How often large rises occur: the value at 100 is the rise that one "
                                       "token in a hundred reaches or exceeds. "
                                       "The vertical scale is linear around zero and logarithmic beyond.");
  return plot + table;
}

std::string held_section(const EvaluationData& data) {
  const std::string table =
      scalar_table("Which entries are held",
                   {{"prompt_survival", "prompt held at the end", format_percent},
                    {"prompt_survival_any_head", "in at least one KV head", format_percent},
                    {"boundary_accuracy", "decided as golden at its cut", format_percent},
                    {"churn", "kept candidates replaced per eviction", format_percent}},
                   scalars_of(data.main.policies), data.styles);
  if (table.empty()) return "";
  return wide_figure(
             survival_plot(data.main.policies, data.styles),
             "Share of the prompt\u2019s entries that are live after each eviction, mean over layers, KV "
             "heads and traces.") +
         table +
         note(
             "The cut: the half window of entries that golden evicts last and the half window that it would "
             "evict "
             "next. Churn: share of the kept candidates that were not kept candidates at the eviction "
             "before.");
}

std::string recall_section(const EvaluationData& data) {
  if (!data.recall || data.recall->evictions.empty()) return "";
  const RecallResult& recall = *data.recall;
  const std::string caption = concat(
      "A text states a fact once; the question for it comes after the number of evictions on the horizontal "
      "axis. R is what a policy "
      "keeps of "
      "the gain in log-probability that the fact gives with the full cache: 1 as with the full cache, 0 as "
      "if it "
      "had not been stated",
      recall.facts ? concat("; ", format_count(*recall.facts), " facts at each distance") : "", ".");
  return wide_figure(recall_plot(recall, data.styles), caption) + recall_table(recall, data.styles);
}

}  // namespace foresight
