// How unevenly a policy's loss rise is spread over the tokens: a mean hides a few tokens with a large rise.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace foresight {

/// A rise above this is a large one, in nats (grpo.reward_threshold_nats has the same default).
inline constexpr double kLargeRiseNats = 1.5;

/// The rise that the given share of the scored tokens reaches or exceeds.
struct TailPoint {
  double share = 0;
  double rise = 0;  ///< nats
};

/// Tails of the rise of single tokens.
struct RiseTails {
  double p95 = 0, p99 = 0;   ///< percentiles of the rise, nats, interpolated between tokens
  double large_share = 0;    ///< share of tokens whose rise is above kLargeRiseNats
  double worst_percent = 0;  ///< share of all positive rise that the 1 % of tokens with the highest rise
                             ///< hold (at least one token); 0 where no token rises
  double worst_window = 0;   ///< mean over traces of the highest mean rise of a window's consecutive scored
                             ///< tokens, nats; of all of them where a trace has fewer
  std::vector<TailPoint> points;  ///< by falling share, from a half to a thousandth of the tokens
};

/// `rises`: of each trace the rise of its scored tokens in order, [n] float64. `window`: tokens of a window.
/// All zeros where no token is scored.
RiseTails rise_tails(const std::vector<torch::Tensor>& rises, std::int64_t window);

/// The mean of several runs' tails, number by number; `tails` is not empty.
RiseTails mean_tails(const std::vector<RiseTails>& tails);

}  // namespace foresight
