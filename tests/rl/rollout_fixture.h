// A tiny model, two recorded traces of it and a random scorer, for tests of rollouts and their gradients.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "rl/grpo_step.h"
#include "tests/random_trace_in_memory.h"
#include "tests/reference/paths.h"

namespace foresight {

struct RolloutFixture {
  /// `length` tokens a trace; budget 16, window 8, groups of 3.
  explicit RolloutFixture(std::int64_t length = 61)
      : a(recorded("a", length, 1)), b(recorded("b", length, 2)), short_one(recorded("c", 41, 3)) {
    config.eviction = {16, 8};
    config.runtime.seed = 5;
    config.grpo.group_size = 3;
    config.grpo.traces_per_step = 2;
    config.grpo.temperature = 0.5;
  }

  GrpoStep step(std::vector<const RecordedTrace*> traces, double kl_weight = 0.3) const {
    return {&model, &config, config.eviction, std::move(traces), 2, kl_weight, &reference};
  }

  RecordedTrace recorded(const std::string& id, std::int64_t length, std::uint64_t seed) const {
    return random_trace_in_memory(model, id, length, seed);
  }

  Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  RecordedTrace a, b, short_one;
  Scorer scorer = Scorer::random(model.shape(), {}, RandomStream(3, "test"));
  Scorer reference = Scorer::random(model.shape(), {}, RandomStream(4, "test"));
  Config config;
};

}  // namespace foresight
