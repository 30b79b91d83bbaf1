// Rollouts: stored traces, teacher-forced under evictions that the policy draws (docs/method.md,
// "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "rl/policy_choice.h"
#include "trainer/config/cache_size.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Rollouts that go through the model together: copies first_copy .. first_copy + rows.copies - 1 of each of
/// these traces, which have one length, in training step `step`.
struct RolloutBatch {
  std::vector<const RecordedTrace*> traces;
  RowLayout rows;
  std::int64_t first_copy = 0;
  std::uint64_t seed = 0;
  std::int64_t step = 0;
};

/// What rollouts drew, so that they can be replayed: by layer [S, R, K, W] int16, indices into the shortlist
/// (int32 where the budget asks for it).
struct RecordedDraws {
  std::vector<torch::Tensor> layers;
};

/// Gumbel draws. Those of a rollout come from the stream (seed, step, trace, copy, layer, eviction): neither
/// what runs beside it nor the rank that runs it changes them.
DrawSource sampled_draws(const RolloutBatch& batch);
/// Keeps what `inner` draws in `recorded`, which must outlive the source. `steps`: evictions of a trace.
DrawSource recording_draws(DrawSource inner, std::int64_t layers, std::int64_t steps,
                           RecordedDraws& recorded);
/// What was recorded, once more. `recorded` must outlive the source.
DrawSource replayed_draws(const RecordedDraws& recorded);

/// Runs the batch to its end under `select`. `on_window` (optional) is shown each window, `on_tokens` told
/// the row tokens done. `compared`: the divergence from full KV too, whose pass then runs beside.
EvictedPass run_rollouts(const Transformer& model, const RolloutBatch& batch, const CacheSize& size,
                         const EvictionSelector& select, bool compared,
                         const std::function<void(const EvictedWindow&)>& on_window = {},
                         const std::function<void(std::int64_t)>& on_tokens = {});

}  // namespace foresight
