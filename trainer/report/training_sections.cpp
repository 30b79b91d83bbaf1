// The curves of both training stages.
#include <algorithm>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/sections.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

constexpr std::int64_t kMaxPoints = 250;

/// A measure as a line of a plot.
struct Measure {
  const char* key;
  const char* name;
  const char* css_class;
  Marker marker;
  bool markers;        ///< for measures that few steps have
  bool falls = false;  ///< a loss, which may fall by orders of magnitude
};

/// A loss that falls by more than a factor of ten is read on a log scale. Other measures that are never
/// negative start at zero, so that a small change looks small.
void set_scale(const std::vector<PlotPoint>& points, bool falls, AxisSpec& axis) {
  double least = 0, most = 0;
  for (const PlotPoint& point : points) {
    least = &point == &points.front() ? point.y : std::min(least, point.y);
    most = std::max(most, point.y);
  }
  if (falls && least > 0 && most > 10 * least) {
    axis.scale = Scale::kLog;
    axis.label += " (log scale)";
  } else if (least >= 0) {
    axis.at_least_from = 0.0;
  }
}

/// The plot of measures that share a unit; `unit` names it, or is empty.
std::string curve_figure(const std::string& stage, const std::string& heading, const std::string& unit,
                         const std::vector<MetricsRow>& rows, const std::vector<Measure>& measures) {
  LinePlot plot{.title = concat(stage, ": ", heading),
                .description = "The measure over the steps of training",
                .x = {.label = "step"},
                .direct_labels = false,
                .width = 360,
                .height = 250};
  std::vector<PlotPoint> all;
  std::int64_t rows_per_point = 1;
  std::string legend;
  for (const Measure& measure : measures) {
    const MetricCurve curve = metric_curve(rows, measure.key, kMaxPoints);
    if (curve.points.empty()) continue;
    PlotSeries series;
    series.style.name = measure.name;
    series.style.css_class = measure.css_class;
    series.style.marker = measure.marker;
    series.style.scorer = true;
    series.points = curve.points;
    series.markers = measure.markers && curve.points.size() <= 40;
    plot.series.push_back(series);
    if (measures.size() > 1)
      legend += concat("<span>", style_key(series.style), escape_html(measure.name), "</span>");
    all.insert(all.end(), curve.points.begin(), curve.points.end());
    rows_per_point = std::max(rows_per_point, curve.rows_per_point);
  }
  plot.y.label = unit;
  set_scale(all, measures.front().falls, plot.y);
  if (!legend.empty()) legend = concat("<p class=\"key-row\">", legend, "</p>");
  const std::string picture = svg_line_plot(plot);
  return figure(heading, picture.empty() ? "" : picture + legend,
                rows_per_point > 1 ? concat("Each point is the mean of ", rows_per_point, " steps.") : "");
}

std::string stage_block(const std::string& heading, const std::string& figures) {
  return figures.empty()
             ? ""
             : concat("<h3 class=\"stage\">", heading, "</h3>\n<div class=\"grid3\">", figures, "</div>\n");
}

}  // namespace

std::string training_section(const std::vector<MetricsRow>& supervised, const std::vector<MetricsRow>& grpo) {
  using enum Marker;
  const std::string first = "Supervised", second = "Reinforcement learning (GRPO)";
  const std::string supervised_figures =
      curve_figure(first, "ranking loss", "loss", supervised,
                   {{"loss", "loss", "p-supervised", kCircle, false, /*falls=*/true}}) +
      curve_figure(first, "oracle overlap", "share", supervised,
                   {{"oracle_overlap", "oracle overlap", "p-supervised", kCircle, false}}) +
      curve_figure(first, "validation loss rise", "nats a token", supervised,
                   {{"eval_loss_rise", "validation", "p-supervised", kCircle, true}});
  const std::string grpo_figures =
      curve_figure(second, "reward", "reward", grpo, {{"reward", "reward", "p-grpo", kSquare, false}}) +
      curve_figure(second, "low-entropy loss rise", "nats a token", grpo,
                   {{"low_entropy_loss_rise", "rollouts", "p-random", kCircle, false},
                    {"eval_low_entropy_loss_rise", "validation", "p-grpo", kSquare, true}}) +
      curve_figure(second, "KL to the start", "nats", grpo, {{"kl", "KL", "p-grpo", kSquare, false}});
  return stage_block(first, supervised_figures) + stage_block(second, grpo_figures);
}

}  // namespace foresight
