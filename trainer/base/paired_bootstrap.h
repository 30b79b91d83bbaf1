// Paired bootstrap over traces: how sure a difference between two policies is.
#pragma once

#include <cstdint>
#include <vector>

namespace foresight {

/// The value below which `share` of the ascending values lie, interpolated between two of them; `sorted` is
/// not empty.
double sorted_quantile(const std::vector<double>& sorted, double share);

/// A pooled difference with its 95 % percentile interval.
struct Interval {
  double value = 0;
  double low = 0;
  double high = 0;
  bool significant() const { return low > 0 || high < 0; }
};

inline constexpr std::int64_t kBootstrapDraws = 10'000;

/// `sums`: per trace, the sum over its scored tokens of one policy's loss minus the other's; `tokens`: their
/// number. The pooled difference is sum(sums) / sum(tokens); traces are drawn with replacement, both policies
/// together (Efron & Tibshirani 1993, percentile interval). The random stream is (seed, "bootstrap"). Throws
/// Error(kInternal) when the lengths differ or no token is scored.
Interval paired_bootstrap(const std::vector<double>& sums, const std::vector<std::int64_t>& tokens,
                          std::uint64_t seed, std::int64_t draws = kBootstrapDraws);

/// The same for a ratio sum(sums) / sum(weights) of any weights whose sum is positive; draws whose weights
/// sum to zero or less are drawn again. Throws Error(kInternal) when the lengths differ or the sum is not
/// positive.
Interval ratio_bootstrap(const std::vector<double>& sums, const std::vector<double>& weights,
                         std::uint64_t seed, std::int64_t draws = kBootstrapDraws);

}  // namespace foresight
