// Which states each step of the supervised stage learns from.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/config/config.h"

namespace foresight {

/// A part of the stage's steps whose states come from one policy.
struct Round {
  std::int64_t index = 0;  ///< 0: the golden plan's states; later ones: the scorer's own, or both
  std::int64_t first_step = 0;
  std::int64_t steps = 0;

  bool on_own_states() const { return index > 0; }
};

/// The round of `step`: one on golden states, then `supervised.rounds` on the scorer's own where
/// supervised.states asks for them. They share the stage's steps as evenly as whole steps allow.
Round round_of_step(const SupervisedConfig& stage, std::int64_t step);

/// The learning rate of `step`: each round warms up and decays for itself.
double learning_rate_of_step(const SupervisedConfig& stage, std::int64_t step);

/// The size of the cache that each trace of these lengths is replayed with in a round: where
/// supervised.budgets has several, neighbouring traces differ, and so does a trace from round to round.
std::vector<CacheSize> sizes_of_round(const Config& config, const std::vector<std::int64_t>& lengths,
                                      std::int64_t round);

}  // namespace foresight
