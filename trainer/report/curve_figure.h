// Curves over the steps of training: those of one run, or of several runs over each other.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/metrics_rows.h"
#include "trainer/report/policy_style.h"

namespace foresight {

/// A measure of some rows as a line of a plot.
struct StepCurve {
  PolicyStyle style;                              ///< how the line is named and drawn
  const std::vector<MetricsRow>* rows = nullptr;  ///< rows of one training stage
  std::string key;                                ///< of the measure in these rows
  bool markers = false;                           ///< for a measure that few steps have
};

/// A plot of measures that share a unit.
struct CurveFigure {
  std::string stage, heading;  ///< plain text
  std::string unit;            ///< at the vertical axis
  bool falls = false;          ///< a loss, which may fall by orders of magnitude
  bool legend = true;          ///< names the lines below the plot where there are several
};

/// The plot with its heading; empty when no row has any of the measures.
std::string curve_figure(const CurveFigure& what, const std::vector<StepCurve>& curves);

/// The names of lines in a row, each with its mark.
std::string style_legend(const std::vector<PolicyStyle>& styles);

/// The figures of a training stage below its heading; empty when there are none.
std::string stage_block(const std::string& heading, const std::string& figures);

}  // namespace foresight
