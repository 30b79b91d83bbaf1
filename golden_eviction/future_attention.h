// Future attention, which is how much attention every cached entry still gets: what the oracle records (paper
// section 3.1, docs/method.md, "Golden Eviction").
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

/// Windows first .. first + count - 1 of `window` tokens from exactly the recorded rows of their blocks:
/// packed [K, elements_of_blocks()] float16, of any number K of KV heads -> [K, count, L] float32, zero
/// beyond what a window sees. A window of several blocks (`window` is a multiple of block_tokens) is their
/// mean, weighted by each block's number of queries. Throws Error(kConfig) if the window is not a multiple,
/// Error(kInternal) for windows beyond the trace or other rows.
torch::Tensor unpack_windows(const torch::Tensor& packed, const OracleDimensions& dimensions,
                             std::int64_t window, std::int64_t first, std::int64_t count);

/// Blocks of the windows first .. first + count - 1: the first block and their number. Throws as
/// unpack_windows().
struct BlockRange {
  std::int64_t first, count;
};
BlockRange blocks_of_windows(const OracleDimensions& dimensions, std::int64_t window, std::int64_t first,
                             std::int64_t count);

}  // namespace foresight
