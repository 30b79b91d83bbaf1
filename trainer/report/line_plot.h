// Line plots as inline SVG.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/axis.h"
#include "trainer/report/policy_style.h"

namespace foresight {

struct PlotPoint {
  double x = 0, y = 0;
};

struct PlotSeries {
  PolicyStyle style;
  std::vector<PlotPoint> points = {};  ///< by x; points that an axis cannot show leave a gap
  bool markers = true;
};

struct LinePlot {
  std::string title;        ///< for readers that do not see the plot, and for tests
  std::string description;  ///< what it shows, in a sentence
  AxisSpec x = {}, y = {};
  std::vector<PlotSeries> series = {};
  bool direct_labels = true;  ///< names at the right end of the lines
  int width = 480, height = 330;
};

/// The plot as an <svg role="img"> element. Colours come from the page's style sheet: each series has its
/// style's css_class. Every drawn point stands in data-p attributes ("x y text text;...") for the tooltip.
/// Empty when no point of any series can be shown.
std::string svg_line_plot(const LinePlot& plot);

/// The outline of a marker around (x, y) as SVG path data, for points and legends.
std::string marker_path(Marker marker, double x, double y, double radius);

}  // namespace foresight
