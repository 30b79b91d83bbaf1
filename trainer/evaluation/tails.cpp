#include "trainer/evaluation/tails.h"

#include <algorithm>
#include <array>

#include "trainer/base/paired_bootstrap.h"

namespace foresight {
namespace {

constexpr std::array<double, 9> kShares = {0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001};

/// The highest mean of `window` consecutive values of [n], or the mean of all where there are fewer.
double highest_window(const torch::Tensor& values, std::int64_t window) {
  const std::int64_t size = std::min(window, values.size(0));
  return values.unfold(0, size, 1).mean(1).max().item<double>();
}

/// The share of the positive sum that the highest 1 % of the ascending values hold.
double share_of_worst(const std::vector<double>& ascending) {
  const std::size_t worst = std::max<std::size_t>(1, ascending.size() / 100);
  double positive = 0, highest = 0;
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    const double rise = std::max(ascending[i], 0.0);
    positive += rise;
    if (i + worst >= ascending.size()) highest += rise;
  }
  return positive > 0 ? highest / positive : 0;
}

}  // namespace

RiseTails rise_tails(const std::vector<torch::Tensor>& rises, std::int64_t window) {
  RiseTails tails;
  for (const double share : kShares) tails.points.push_back({share, 0});
  std::vector<double> all;
  double windows = 0;
  std::int64_t traces = 0;
  for (const torch::Tensor& trace : rises) {
    if (trace.size(0) == 0) continue;
    const torch::Tensor values = trace.to(torch::kCPU, torch::kFloat64).contiguous();
    all.insert(all.end(), values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
    windows += highest_window(values, window);
    ++traces;
  }
  if (all.empty()) return tails;
  std::sort(all.begin(), all.end());
  tails.p95 = sorted_quantile(all, 0.95);
  tails.p99 = sorted_quantile(all, 0.99);
  const auto large = all.end() - std::upper_bound(all.begin(), all.end(), kLargeRiseNats);
  tails.large_share = static_cast<double>(large) / static_cast<double>(all.size());
  tails.worst_percent = share_of_worst(all);
  tails.worst_window = windows / static_cast<double>(traces);
  for (TailPoint& point : tails.points) point.rise = sorted_quantile(all, 1 - point.share);
  return tails;
}

RiseTails mean_tails(const std::vector<RiseTails>& tails) {
  RiseTails mean = tails.front();
  const auto average = [&](const auto& number) {
    double sum = 0;
    for (const RiseTails& one : tails) sum += number(one);
    return sum / static_cast<double>(tails.size());
  };
  for (double RiseTails::*number : {&RiseTails::p95, &RiseTails::p99, &RiseTails::large_share,
                                    &RiseTails::worst_percent, &RiseTails::worst_window})
    mean.*number = average([number](const RiseTails& one) { return one.*number; });
  for (std::size_t i = 0; i < mean.points.size(); ++i)
    mean.points[i].rise = average([i](const RiseTails& one) { return one.points[i].rise; });
  return mean;
}

}  // namespace foresight
