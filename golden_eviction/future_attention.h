// How much attention every cached entry still gets: the recorded quantity of the oracle (paper section 3.1,
// docs/method.md, "Golden Eviction").
#pragma once

#include <torch/types.h>

#include "data/oracle_schema.h"

namespace foresight {

/// Mean over the queries of each block and over the query heads of a group. probabilities [K, g, T, n]
/// (softmax over n keys, the T queries being the newest) -> one row per block of `block_tokens` queries, [K,
/// blocks in T, n]; a partial last block is averaged over the queries it has.
torch::Tensor block_mean_attention(const torch::Tensor& probabilities, std::int64_t block_tokens);

/// Future attention of captured tensors, block by block: query [H, L, d], key [K, L, d] after the rotary
/// embedding -> [K, blocks, L] float32, zero beyond each block's end. Memory: [H, 32, L] plus the
/// result. Throws Error(kInput) when the shapes do not fit each other.
torch::Tensor future_attention(const torch::Tensor& query, const torch::Tensor& key,
                               std::int64_t block_tokens);

/// Windows of `window` tokens that a trace of `tokens` has, a shorter last one included.
std::int64_t windows_of(std::int64_t tokens, std::int64_t window);

/// Windows first .. first + count - 1 of `window` tokens from the recorded rows of their blocks, and no
/// others: packed [K, elements_of_blocks()] float16, of as many KV heads as there are -> [K, count, L]
/// float32, zero beyond what a window sees. A window of several blocks (`window` is a multiple of
/// block_tokens) is their mean, weighted by the queries each block really has. Throws Error(kConfig) where
/// the window is no multiple, Error(kInternal) for windows that the trace has not or other rows.
torch::Tensor unpack_windows(const torch::Tensor& packed, const OracleDimensions& dimensions,
                             std::int64_t window, std::int64_t first, std::int64_t count);

/// Blocks that lie in windows first .. first + count - 1: the first of them and how many. Throws as
/// unpack_windows().
struct BlockRange {
  std::int64_t first, count;
};
BlockRange blocks_of_windows(const OracleDimensions& dimensions, std::int64_t window, std::int64_t first,
                             std::int64_t count);

}  // namespace foresight
