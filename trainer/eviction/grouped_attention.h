// Attention of query heads in groups over their KV head: with the probabilities in hand, or fused.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foresight {

/// What the scores of a layer go through beside the causal mask.
struct AttentionRule {
  double score_cap = 0.0;    ///< scores x become cap tanh(x / cap); 0: they stay
  std::int64_t window = 0;   ///< a query sees so many entries, its own the last; 0: all before it
  torch::Tensor sinks = {};  ///< [K g] float32: e^sink of the head stands in the denominator; undefined: none

  AttentionRule with_sinks(const torch::Tensor& some) const { return {score_cap, window, some}; }
};

/// softmax(q k^T / sqrt(d)) in float32. query [R, K, g, T, d] float32; keys [R, K, n, d] float32 or bfloat16:
/// the last T of the n entries are the queries' own, seen causally. `hidden_entries` [R] int64 (optional): so
/// many first entries of a row are padding. Returns [R, K, g, T, n].
torch::Tensor attention_probabilities(const torch::Tensor& query, const torch::Tensor& keys,
                                      const torch::Tensor& hidden_entries = {},
                                      const AttentionRule& rule = {});

/// probabilities [R, K, g, T, n] times values [R, K, n, d] (float32 or bfloat16) -> [R, K, g, T, d] float32.
torch::Tensor attention_output(const torch::Tensor& probabilities, const torch::Tensor& values);

/// Whether causal_attention() is the fastest for these in `type`: more queries than few_rows.h is for, and on
/// a GPU what its flash attention takes.
bool suits_causal_attention(const torch::Tensor& query, torch::ScalarType type);

/// attention_output(attention_probabilities()) without the probabilities, and without what lies behind the
/// causal mask: query [R, H, T, d]; keys and values [R, K, n, d], of which the last T are the queries' own.
/// All float32 or all
/// bfloat16, of which the softmax is in float32 too. Returns [R, H, T, d] of either type. Memory: that of the
/// result, twice where n > T. Sinks [H] as in AttentionRule. Throws Error(kInternal) unless the shapes fit.
torch::Tensor causal_attention(const torch::Tensor& query, const torch::Tensor& keys,
                               const torch::Tensor& values, const torch::Tensor& sinks = {});

}  // namespace foresight
