// How a policy is named and drawn, the same in every table and plot.
#pragma once

#include <cstddef>
#include <map>
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

/// The style of `policy`, as evaluation.json names it, where it stands alone. A name that is not known is a
/// scorer's file, which is shown by its last folder and name.
PolicyStyle policy_style(const std::string& policy);

/// The styles of the policies that stand together in a table or on a page: scorers' files are shown by the
/// part of their paths that differs, and have different markers.
class PolicyStyles {
 public:
  PolicyStyles() = default;
  explicit PolicyStyles(const std::vector<std::string>& policies);
  /// The style of one of these policies; of any other as policy_style() gives it.
  PolicyStyle of(const std::string& policy) const;

 private:
  std::map<std::string, PolicyStyle> files_;
};

/// The style of a run's lines: runs with different numbers below ten have different colours.
PolicyStyle run_style(std::size_t number, const std::string& name);

}  // namespace foresight
