// Rollouts: stored traces, teacher-forced under evictions that the policy samples (docs/method.md,
// "Reinforcement learning").
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "rl/policy_choice.h"
#include "trainer/base/random.h"
#include "trainer/config/cache_size.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Rollouts that go through the model together: copies first_copy .. first_copy + rows.copies - 1 of each of
/// these traces, which have the same length, in training step `step`.
struct RolloutBatch {
  std::vector<const RecordedTrace*> traces;
  RowLayout rows;
  std::int64_t first_copy = 0;
  std::uint64_t seed = 0;
  std::int64_t step = 0;
};

/// The sampled actions of rollouts, to replay them: by layer [S, R, K, W] int16, indices into the shortlist
/// (int32 for large budgets).
struct RecordedDraws {
  std::vector<torch::Tensor> layers;
};

/// Standard Gumbel noise [R, numbers] float32 on `device`, a row from each stream: RandomStream::gumbel()
/// after one another, on a GPU by the same arithmetic there.
torch::Tensor gumbel_noise(std::vector<RandomStream> streams, std::int64_t numbers,
                           const torch::Device& device);

/// Samples by Gumbel noise. A rollout's random numbers depend only on (seed, step, trace, copy, layer,
/// eviction), not on other rollouts or on the rank that runs it.
DrawSource sampled_draws(const RolloutBatch& batch);
/// Stores the samples of `inner` in `recorded`, which must outlive the source. `steps`: evictions of a trace.
DrawSource recording_draws(DrawSource inner, std::int64_t layers, std::int64_t steps,
                           RecordedDraws& recorded);
/// Replays the recorded samples. `recorded` must outlive the source.
DrawSource replayed_draws(const RecordedDraws& recorded);

/// Runs the batch to its end under `select`. `on_window` (optional) is called with each window, `on_tokens`
/// with the row tokens done. `compared`: also measures the divergence from full KV, which runs too.
EvictedPass run_rollouts(const Transformer& model, const RolloutBatch& batch, const CacheSize& size,
                         const EvictionSelector& select, bool compared,
                         const std::function<void(const EvictedWindow&)>& on_window = {},
                         const std::function<void(std::int64_t)>& on_tokens = {});

}  // namespace foresight
