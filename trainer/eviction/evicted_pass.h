// Teacher-forced passes over finished traces: with the full cache, and under eviction.
#pragma once

#include <functional>

#include "trainer/eviction/eviction_view.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// Budget and window of a cache, and the arithmetic of its steps (docs/method.md, "The cache").
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

/// What an evicted pass gives for every row and token t; zero for t < first_scored().
struct EvictedPass {
  torch::Tensor losses;      ///< [copies * N, L] float32, of predicting token t
  torch::Tensor divergence;  ///< [copies * N, L] KL(full KV || evicted) of that prediction, nats; undefined
                             ///< without full_states
  torch::Tensor agreement;  ///< [copies * N, L] 1 where both hold the same token likeliest, else 0; undefined
                            ///< without full_states
};

/// `tokens` [N, L] (traces of one length) under eviction, `copies` rows a trace (row of copy c of trace n is
/// c * N + n). The prefix up to the first eviction is computed once per trace. `select` is called once per
/// layer and step, with all rows. `full_states` [N, L, hidden] of full_states(), or undefined: the
/// predictions are then compared with those of the full cache, whose logits are computed once for all copies.
/// `on_tokens` (optional) is told the tokens done, for progress.
EvictedPass evicted_pass(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                         std::int64_t copies, const EvictionSelector& select,
                         const torch::Tensor& full_states,
                         const std::function<void(std::int64_t)>& on_tokens = {});

/// The losses of evicted_pass alone.
torch::Tensor evicted_losses(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                             std::int64_t copies, const EvictionSelector& select,
                             const std::function<void(std::int64_t)>& on_tokens = {});

/// Loss and entropy of one trace under the full cache.
struct FullPass {
  torch::Tensor loss;     ///< [L]; loss[0] = 0
  torch::Tensor entropy;  ///< [L]; entropy[0] = 0
};

/// Final hidden states of `tokens` [L] under the full cache: [L, hidden] float32.
torch::Tensor full_states(const Transformer& model, const torch::Tensor& tokens);

/// One full-KV, teacher-forced pass over `tokens` [L]; the attention of `query_block` tokens at a time is
/// computed, and shown to the observer. Memory beyond cache and weights: O(H * query_block * L).
FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t query_block,
                   const AttentionObserver& observer = {});

}  // namespace foresight
