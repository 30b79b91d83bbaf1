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

/// Between [K, blocks, L] float32 and the packed causal half [K, packed_elements()] float16 that files hold.
torch::Tensor pack_attention(const torch::Tensor& attention, const OracleDimensions& dimensions);
torch::Tensor unpack_attention(const torch::Tensor& packed, const OracleDimensions& dimensions);

/// Joins recorded blocks to windows of `window` tokens (a multiple of block_tokens), weighted by the queries
/// each block really has: [K, blocks, L] -> [K, ceil(L / window), L].
torch::Tensor merge_blocks(const torch::Tensor& attention, std::int64_t block_tokens, std::int64_t window);

}  // namespace foresight
