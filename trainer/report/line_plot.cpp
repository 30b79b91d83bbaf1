#include "trainer/report/line_plot.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "trainer/base/text.h"
#include "trainer/report/html.h"

namespace foresight {
namespace {

constexpr double kLabelSpacing = 15, kCharacterWidth = 8;

/// A series in the plot's coordinates.
struct DrawnSeries {
  const PlotSeries* series = nullptr;
  std::string path = {}, markers = {}, tooltips = {};
  double end_x = 0, end_y = 0;  ///< the last drawn point
  bool empty = true;
};

/// Where the drawing area lies, and the axes along it.
class Frame {
 public:
  explicit Frame(const LinePlot& plot)
      : left(54),
        top(28),
        right(plot.width - (plot.direct_labels ? 132 : 14)),
        bottom(plot.height - 46),
        x(plot.x, values_of(plot, &PlotPoint::x), x_gap(plot) / (right - left)),
        y(plot.y, values_of(plot, &PlotPoint::y), 20 / (bottom - top)) {}

  std::optional<PlotPoint> place(const PlotPoint& point) const {
    const auto across = x.place(point.x), up = y.place(point.y);
    if (!across || !up) return std::nullopt;
    return PlotPoint{left + *across * (right - left), bottom - *up * (bottom - top)};
  }

  double left, top, right, bottom;
  Axis x, y;

 private:
  static std::vector<double> values_of(const LinePlot& plot, double PlotPoint::*coordinate) {
    std::vector<double> values;
    for (const PlotSeries& series : plot.series) {
      for (const PlotPoint& point : series.points) values.push_back(point.*coordinate);
    }
    return values;
  }

  /// Room for the longest label of the ticks that were asked for.
  static double x_gap(const LinePlot& plot) {
    std::size_t longest = 4;
    for (const double tick : plot.x.ticks) longest = std::max(longest, format_tick(tick).size());
    return static_cast<double>(longest + 1) * kCharacterWidth;
  }
};

std::string coordinates(double x, double y) {
  return concat(format_coordinate(x), " ", format_coordinate(y));
}

DrawnSeries draw_series(const PlotSeries& series, const Frame& frame) {
  DrawnSeries drawn{.series = &series, .path = {}, .markers = {}, .tooltips = {}};
  bool pen_down = false;
  for (const PlotPoint& point : series.points) {
    const auto at = frame.place(point);
    if (!at) {
      pen_down = false;
      continue;
    }
    drawn.path += concat(pen_down ? "L" : "M", coordinates(at->x, at->y));
    if (series.markers)
      drawn.markers += marker_path(series.style.marker, at->x, at->y, series.style.scorer ? 4 : 3.2);
    drawn.tooltips += concat(drawn.tooltips.empty() ? "" : ";", coordinates(at->x, at->y), " ",
                             format_count(point.x), " ", format_tick(point.y));
    drawn.end_x = at->x;
    drawn.end_y = at->y;
    drawn.empty = false;
    pen_down = true;
  }
  return drawn;
}

/// Grid lines, tick labels and the axes' names.
std::string draw_axes(const Frame& frame) {
  std::string out = "<g class=\"grid\">";
  for (const Tick& tick : frame.y.ticks()) {
    const double y = frame.bottom - tick.place * (frame.bottom - frame.top);
    out += concat("<line x1=\"", format_coordinate(frame.left), "\" x2=\"", format_coordinate(frame.right),
                  "\" y1=\"", format_coordinate(y), "\" y2=\"", format_coordinate(y), "\"/><text x=\"",
                  format_coordinate(frame.left - 7), "\" y=\"", format_coordinate(y + 4),
                  "\" text-anchor=\"end\">", escape_html(tick.text), "</text>");
  }
  for (const Tick& tick : frame.x.ticks()) {
    const double x = frame.left + tick.place * (frame.right - frame.left);
    out +=
        concat("<line class=\"tick\" x1=\"", format_coordinate(x), "\" x2=\"", format_coordinate(x),
               "\" y1=\"", format_coordinate(frame.bottom), "\" y2=\"", format_coordinate(frame.bottom + 4),
               "\"/><text x=\"", format_coordinate(x), "\" y=\"", format_coordinate(frame.bottom + 18),
               "\" text-anchor=\"middle\">", escape_html(tick.text), "</text>");
  }
  out += concat("<line class=\"axis\" x1=\"", format_coordinate(frame.left), "\" x2=\"",
                format_coordinate(frame.right), "\" y1=\"", format_coordinate(frame.bottom), "\" y2=\"",
                format_coordinate(frame.bottom), "\"/>");
  out += concat("<text class=\"name\" x=\"2\" y=\"14\">", escape_html(frame.y.spec().label),
                "</text><text class=\"name\" x=\"", format_coordinate((frame.left + frame.right) / 2),
                "\" y=\"", format_coordinate(frame.bottom + 38), "\" text-anchor=\"middle\">",
                escape_html(frame.x.spec().label), "</text></g>");
  return out;
}

std::string draw_line(const DrawnSeries& drawn) {
  const PolicyStyle& style = drawn.series->style;
  return concat("<g class=\"series ", style.css_class, style.scorer ? " scorer" : "",
                style.dashed ? " dashed" : "", "\" data-name=\"", escape_html(style.name), "\" data-p=\"",
                drawn.tooltips, "\"><path class=\"line\" d=\"", drawn.path, "\"/>",
                drawn.markers.empty() ? "" : concat("<path class=\"marker\" d=\"", drawn.markers, "\"/>"),
                "</g>");
}

/// The places of labels that want to stand at `wanted` (sorted): at least kLabelSpacing apart, inside the
/// area.
std::vector<double> spread_labels(std::vector<double> wanted, double top, double bottom) {
  for (std::size_t i = 1; i < wanted.size(); ++i)
    wanted[i] = std::max(wanted[i], wanted[i - 1] + kLabelSpacing);
  double limit = bottom;
  for (std::size_t i = wanted.size(); i-- > 0; limit = wanted[i] - kLabelSpacing)
    wanted[i] = std::min(wanted[i], limit);
  if (wanted.empty() || wanted.front() >= top) return wanted;
  // More labels than room: evenly from the top, as close as that takes.
  const double step = wanted.size() > 1 ? (bottom - top) / static_cast<double>(wanted.size() - 1) : 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = top + static_cast<double>(i) * step;
  return wanted;
}

std::string draw_labels(std::vector<const DrawnSeries*> lines, const Frame& frame) {
  std::stable_sort(lines.begin(), lines.end(),
                   [](const DrawnSeries* a, const DrawnSeries* b) { return a->end_y < b->end_y; });
  std::vector<double> wanted;
  for (const DrawnSeries* line : lines) wanted.push_back(line->end_y);
  const std::vector<double> places = spread_labels(wanted, frame.top, frame.bottom);
  std::string out = "<g class=\"labels\">";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const PolicyStyle& style = lines[i]->series->style;
    out += concat("<g class=\"", style.css_class, style.scorer ? " scorer" : "",
                  "\"><path class=\"leader\" d=\"M", coordinates(lines[i]->end_x + 5, lines[i]->end_y), "L",
                  coordinates(frame.right + 10, places[i]), "\"/><text x=\"",
                  format_coordinate(frame.right + 13), "\" y=\"", format_coordinate(places[i] + 4), "\">",
                  escape_html(style.label), "</text></g>");
  }
  return out + "</g>";
}

}  // namespace

std::string svg_line_plot(const LinePlot& plot) {
  const Frame frame(plot);
  std::vector<DrawnSeries> drawn;
  for (const PlotSeries& series : plot.series) {
    drawn.push_back(draw_series(series, frame));
    if (drawn.back().empty) drawn.pop_back();
  }
  if (drawn.empty()) return "";
  std::string out =
      concat("<svg class=\"plot\" role=\"img\" viewBox=\"0 0 ", plot.width, " ", plot.height,
             "\" aria-label=\"", escape_html(concat(plot.title, ". ", plot.description)), "\" data-x=\"",
             escape_html(plot.x.label), "\" data-y=\"", escape_html(plot.y.label), "\"><title>",
             escape_html(plot.title), "</title>", draw_axes(frame));
  for (const bool scorers : {false, true}) {  // the scorers last: on top of the rules
    for (const DrawnSeries& line : drawn) {
      if (line.series->style.scorer == scorers) out += draw_line(line);
    }
  }
  if (plot.direct_labels) {
    std::vector<const DrawnSeries*> lines;
    for (const DrawnSeries& line : drawn) lines.push_back(&line);
    out += draw_labels(lines, frame);
  }
  return out + "</svg>\n";
}

std::string marker_path(Marker marker, double x, double y, double radius) {
  const double r = radius;
  const auto at = [&](double dx, double dy) { return coordinates(x + dx * r, y + dy * r); };
  switch (marker) {
    case Marker::kSquare:
      return concat("M", at(-0.9, -0.9), "L", at(0.9, -0.9), "L", at(0.9, 0.9), "L", at(-0.9, 0.9), "Z");
    case Marker::kDiamond:
      return concat("M", at(0, -1.3), "L", at(1.3, 0), "L", at(0, 1.3), "L", at(-1.3, 0), "Z");
    case Marker::kTriangle:
      return concat("M", at(0, -1.2), "L", at(1.1, 0.9), "L", at(-1.1, 0.9), "Z");
    case Marker::kTriangleDown:
      return concat("M", at(0, 1.2), "L", at(1.1, -0.9), "L", at(-1.1, -0.9), "Z");
    case Marker::kCross:
      return concat("M", at(-1, -1), "L", at(1, 1), "M", at(-1, 1), "L", at(1, -1));
    case Marker::kPlus:
      return concat("M", at(-1.2, 0), "L", at(1.2, 0), "M", at(0, -1.2), "L", at(0, 1.2));
    case Marker::kCircle:
      break;
  }
  const std::string arc = concat("A", format_coordinate(r), " ", format_coordinate(r), " 0 1 1 ");
  return concat("M", at(-1, 0), arc, at(1, 0), arc, at(-1, 0), "Z");
}

}  // namespace foresight
