#include "trainer/report/axis.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "trainer/report/html.h"

namespace foresight {
namespace {

/// Multiples of 1, 2 or 5 times a power of ten, `count` steps or so from low to high.
std::vector<double> even_ticks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough * 0.999) step = factor * power;
  }
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1)
    ticks.push_back(k * step);
  return ticks;
}

/// Powers of ten from low to high (both positive), then 3, then 2 and 5 times them.
std::vector<double> decade_ticks(double low, double high) {
  std::vector<double> ticks;
  for (const double factor : {1.0, 3.0, 2.0, 5.0}) {
    for (double exponent = std::floor(std::log10(low)); exponent <= std::ceil(std::log10(high));
         exponent += 1) {
      const double tick = factor * std::pow(10, exponent);
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push_back(tick);
    }
  }
  return ticks;
}

}  // namespace

Axis::Axis(AxisSpec spec, const std::vector<double>& values, double min_gap) : spec_(std::move(spec)) {
  std::vector<double> shown;
  for (const double value : values) {
    if (shows(value)) shown.push_back(value);
  }
  for (const auto& bound : {spec_.at_least_from, spec_.at_least_to}) {
    if (bound && shows(*bound)) shown.push_back(*bound);
  }
  if (shown.empty()) return;
  const auto [least, most] = std::minmax_element(shown.begin(), shown.end());
  double low = *least, high = *most;
  if (!(high > low)) {  // one value: some room around it
    const double room = spec_.scale == Scale::kLog ? 0.5 * low : std::max(0.05 * std::fabs(low), 1e-3);
    low -= room;
    high += room;
  }
  const double margin = 0.03 * (transformed(high) - transformed(low));
  from_ = transformed(low) - (spec_.at_least_from == low ? 0 : margin);
  to_ = transformed(high) + (spec_.at_least_to == high ? 0 : margin);
  set_ticks(spec_.ticks.empty() ? tick_candidates(low, high) : spec_.ticks, min_gap);
}

bool Axis::shows(double value) const {
  return std::isfinite(value) && (spec_.scale != Scale::kLog || value > 0);
}

double Axis::transformed(double value) const {
  switch (spec_.scale) {
    case Scale::kLog:
      return std::log(value);
    case Scale::kSymlog:
      return std::asinh(value / spec_.linear_below);
    case Scale::kLinear:
      break;
  }
  return value;
}

std::optional<double> Axis::place(double value) const {
  if (!shows(value)) return std::nullopt;
  return (transformed(value) - from_) / (to_ - from_);
}

std::string Axis::text(double value) const {
  return spec_.tick_text != nullptr ? spec_.tick_text(value) : format_tick(value);
}

std::vector<double> Axis::tick_candidates(double low, double high) const {
  if (spec_.scale == Scale::kLinear) return even_ticks(low, high, 5);
  if (spec_.scale == Scale::kLog) {
    std::vector<double> ticks = decade_ticks(low, high);
    return ticks.size() < 2 ? even_ticks(low, high, 4) : ticks;
  }
  std::vector<double> ticks = {0};
  const double most = std::max(std::fabs(low), std::fabs(high));
  if (most < spec_.linear_below) return even_ticks(low, high, 4);
  for (const double tick : decade_ticks(spec_.linear_below, most)) {
    if (tick <= high) ticks.push_back(tick);
    if (-tick >= low) ticks.push_back(-tick);
  }
  return ticks;
}

void Axis::set_ticks(const std::vector<double>& candidates, double min_gap) {
  for (const double value : candidates) {
    const auto at = place(value);
    if (!at || *at < -1e-9 || *at > 1 + 1e-9) continue;
    const bool crowded = std::any_of(ticks_.begin(), ticks_.end(),
                                     [&](const Tick& tick) { return std::fabs(tick.place - *at) < min_gap; });
    if (!crowded) ticks_.push_back({*at, text(value)});
  }
  std::sort(ticks_.begin(), ticks_.end(), [](const Tick& a, const Tick& b) { return a.place < b.place; });
}

std::vector<double> ends_first(std::vector<double> ticks) {
  // The last one in front: the first then comes second.
  if (!ticks.empty()) std::rotate(ticks.begin(), ticks.end() - 1, ticks.end());
  return ticks;
}

double symlog_threshold(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) {
    if (std::isfinite(value)) most = std::max(most, std::fabs(value));
  }
  return most > 0 ? std::pow(10, std::round(std::log10(most) - 2.7)) : 1;
}

}  // namespace foresight
