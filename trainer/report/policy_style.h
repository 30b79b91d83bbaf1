// How a policy is named and drawn, the same in every table and plot.
#pragma once

#include <string>
#include <vector>

namespace foresight {

/// Shape of the points of a line: a second cue besides colour.
enum class Marker { kCircle, kSquare, kDiamond, kTriangle, kTriangleDown, kCross, kPlus };

struct PolicyStyle {
  std::string name;       ///< as shown: "supervised + RL", "R-KV"
  std::string label;      ///< the same, cut to fit beside a plot
  std::string css_class;  ///< sets the colour --c: "p-grpo"
  Marker marker = Marker::kCircle;
  bool scorer = false;  ///< a trained scorer: drawn with emphasis
  bool dashed = false;  ///< a bound (full, golden) and no competitor
};

/// The policies that Foresight names, in the order in which tables show them unless told otherwise.
const std::vector<std::string>& known_policies();

/// The style of `policy` as evaluation.json names it. A name that is not known is a scorer's file: it is
/// shown by its last folder and name.
PolicyStyle policy_style(const std::string& policy);

}  // namespace foresight
