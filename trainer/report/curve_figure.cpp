#include "trainer/report/curve_figure.h"

#include <algorithm>

#include "trainer/base/text.h"
#include "trainer/report/html.h"
#include "trainer/report/line_plot.h"
#include "trainer/report/tables.h"

namespace foresight {
namespace {

constexpr std::int64_t kMaxPoints = 250;
constexpr std::size_t kMostMarkers = 40;

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

}  // namespace

std::string curve_figure(const CurveFigure& what, const std::vector<StepCurve>& curves) {
  LinePlot plot{.title = concat(what.stage, ": ", what.heading),
                .description = "The measure over the steps of training",
                .x = {.label = "step"},
                .y = {.label = what.unit},
                .direct_labels = false,
                .width = 360,
                .height = 250};
  std::vector<PlotPoint> all;
  std::vector<PolicyStyle> drawn;
  std::int64_t rows_per_point = 1;
  for (const StepCurve& curve : curves) {
    const MetricCurve points = metric_curve(*curve.rows, curve.key, kMaxPoints);
    if (points.points.empty()) continue;
    plot.series.push_back(
        {curve.style, points.points, curve.markers && points.points.size() <= kMostMarkers});
    drawn.push_back(curve.style);
    all.insert(all.end(), points.points.begin(), points.points.end());
    rows_per_point = std::max(rows_per_point, points.rows_per_point);
  }
  set_scale(all, what.falls, plot.y);
  const std::string picture = svg_line_plot(plot);
  const std::string legend = what.legend && curves.size() > 1 ? style_legend(drawn) : "";
  return figure(what.heading, picture.empty() ? "" : picture + legend,
                rows_per_point > 1 ? concat("Each point is the mean of ", rows_per_point, " steps.") : "");
}

std::string style_legend(const std::vector<PolicyStyle>& styles) {
  std::string items;
  for (const PolicyStyle& style : styles) items += concat("<span>", style_heading(style), "</span>");
  return items.empty() ? "" : concat("<p class=\"key-row\">", items, "</p>");
}

std::string stage_block(const std::string& heading, const std::string& figures) {
  return figures.empty() ? ""
                         : concat("<h3 class=\"stage\">", escape_html(heading),
                                  "</h3>\n<div class=\"grid3\">", figures, "</div>\n");
}

}  // namespace foresight
