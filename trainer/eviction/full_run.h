// Teacher-forced passes over finished traces with the full cache: whole, or a window at a time beside a run
// under eviction.
#pragma once

#include <torch/types.h>

#include <vector>

#include "trainer/eviction/full_cache.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// N traces of one length under the full cache, as far as they are asked for: one full cache a trace, and the
/// hidden states of about kForwardTokens tokens.
class FullRun {
 public:
  /// `tokens` [N, L] int64; states are asked for in pieces of `window` tokens that begin at its multiples.
  FullRun(const Transformer& model, const torch::Tensor& tokens, std::int64_t window);

  /// Final hidden states [N, count, hidden] float32 of tokens first .. first + count - 1, count <= window.
  /// `first` never decreases. Throws Error(kInternal) for states that were passed by or cross a piece.
  torch::Tensor states(std::int64_t first, std::int64_t count);

 private:
  void advance();

  const Transformer* model_;
  torch::Tensor tokens_;  // [N, L]
  std::int64_t chunk_;    // tokens that go through the model at once
  std::vector<FullCache> caches_;
  torch::Tensor states_;                     // [N, chunk, hidden] of tokens first_ ..
  std::int64_t first_ = 0, next_first_ = 0;  // of the chunk held, of the next
};

/// Loss and entropy of one trace under the full cache.
struct FullPass {
  torch::Tensor loss;     ///< [L]; loss[0] = 0
  torch::Tensor entropy;  ///< [L]; entropy[0] = 0
};

/// Who sees the attention of a full pass: the first, or where kernels for it are there the second
/// (FullCache::set_block_observer), with means of blocks of `block_tokens` queries, which must divide the
/// query block.
struct FullPassObservers {
  AttentionObserver attention = {};
  std::int64_t block_tokens = 0;
  BlockObserver blocks = {};
};

/// One full-KV, teacher-forced pass over `tokens` [L]; the attention of `query_block` tokens at a time is
/// computed, and shown to an observer. Memory beyond cache and weights: O(H * query_block * L) where their
/// probabilities are in memory, else O(L) (kernels/full_attention.h).
FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t query_block,
                   const FullPassObservers& observers = {});

}  // namespace foresight
