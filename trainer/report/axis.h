// An axis of a plot: from values to places, and the ticks a reader needs.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace foresight {

enum class Scale {
  kLinear,
  kLog,     ///< positive values only
  kSymlog,  ///< asinh(v / linear_below): linear around zero, logarithmic far from it, for any sign
};

/// What to show. `ticks` empty: chosen from the range.
struct AxisSpec {
  std::string label = {};
  Scale scale = Scale::kLinear;
  double linear_below = 1;                     ///< symlog only, > 0
  std::vector<double> ticks = {};              ///< wanted ticks, the most important ones first
  std::string (*tick_text)(double) = nullptr;  ///< format_tick when null
  std::optional<double> at_least_from = {}, at_least_to = {};  ///< the range holds these
};

struct Tick {
  double place = 0;  ///< share of the axis
  std::string text;
};

/// Maps values in a range to [0, 1]. A value that the scale cannot show (NaN; not positive on kLog) has no
/// place.
class Axis {
 public:
  /// The range covers the values that can be shown, with a margin. `min_gap` is the least distance between
  /// two ticks as a share of the axis: ticks that stand closer to one already there are left out.
  Axis(AxisSpec spec, const std::vector<double>& values, double min_gap);
  std::optional<double> place(double value) const;
  const std::vector<Tick>& ticks() const { return ticks_; }
  std::string text(double value) const;
  const AxisSpec& spec() const { return spec_; }

 private:
  double transformed(double value) const;
  bool shows(double value) const;
  std::vector<double> tick_candidates(double low, double high) const;
  void set_ticks(const std::vector<double>& candidates, double min_gap);

  AxisSpec spec_;
  double from_ = 0, to_ = 1;  ///< transformed range
  std::vector<Tick> ticks_;
};

/// `ticks` with the last and the first in front: what an axis keeps when not all have room.
std::vector<double> ends_first(std::vector<double> ticks);

/// A threshold for kSymlog that leaves the small ones among `values` readable: about a thousandth of the
/// largest magnitude, a power of ten.
double symlog_threshold(const std::vector<double>& values);

}  // namespace foresight
