// Teacher-forced passes over finished traces: with the full cache, and under eviction.
#pragma once

#include <functional>

#include "trainer/eviction/eviction_view.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// Budget and window of a cache, and the arithmetic of its steps (method.md sections 1 and 10).
struct CacheSize {
  std::int64_t budget = 0;  ///< B
  std::int64_t window = 0;  ///< W
  /// Tokens seen at step s: p_s = B + (s + 1) W.
  std::int64_t seen_at_step(std::int64_t step) const { return budget + (step + 1) * window; }
  /// Steps of a trace of `tokens`: those with p_s < tokens.
  std::int64_t steps(std::int64_t tokens) const {
    return tokens <= budget + window ? 0 : (tokens - budget - 1) / window;
  }
  /// First token whose loss an eviction can touch: t > B + W.
  std::int64_t first_scored() const { return budget + window + 1; }
};

/// Losses of `tokens` [N, L] (traces of one length) under eviction, `copies` rows a trace (row of copy c of
/// trace n is c * N + n): [copies * N, L] float32, loss[t] of predicting token t; zero for t <
/// first_scored(). The prefix up to the first eviction is computed once per trace. `select` is called once
/// per layer and step, with all rows. `on_tokens` (optional) is told the tokens done, for progress.
torch::Tensor evicted_losses(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                             std::int64_t copies, const EvictionSelector& select,
                             const std::function<void(std::int64_t)>& on_tokens = {});

/// Loss and entropy of one trace under the full cache.
struct FullPass {
  torch::Tensor loss;     ///< [L]; loss[0] = 0
  torch::Tensor entropy;  ///< [L]; entropy[0] = 0
};

/// One full-KV, teacher-forced pass over `tokens` [L], `chunk_tokens` at a time; the observer sees every
/// chunk's attention.
FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t chunk_tokens,
                   const AttentionObserver& observer = {});

}  // namespace foresight
