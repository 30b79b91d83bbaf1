// A policy's cost and saving while text is generated: cache memory, speed, time spent on evictions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// A policy whose generation is measured; no selectors: the full cache.
struct MeasuredPolicy {
  std::string name;
  std::optional<EvictionSelector> select;        ///< for one row
  std::optional<EvictionSelector> batch_select;  ///< for CostOptions::batch rows
};

/// What is measured.
struct CostOptions {
  CacheSize size;
  std::vector<std::int64_t> contexts;  ///< tokens before decoding starts
  std::int64_t batch = 1;              ///< rows of the second decoding; 1: only one row is decoded
};

/// One policy's figures; vectors have one entry a context length, or none where that was not measured.
struct PolicyCost {
  std::string name;
  std::vector<std::int64_t> kv_bytes;  ///< allocated for keys and values, one row, room to decode included
  std::vector<std::int64_t> peak_resident_bytes;  ///< peak memory of the process meanwhile, with the model
  std::vector<double> prefill_tokens_per_second;
  std::vector<double> decode_tokens_per_second;        ///< one row, greedy
  std::vector<double> batch_decode_tokens_per_second;  ///< of all rows of the batch together
  /// Full cache only: the most rows that fit the memory of an evicting batch (0: none fits), and their
  /// decoding speed together.
  std::vector<std::int64_t> equal_memory_rows;
  std::vector<double> equal_memory_decode_tokens_per_second;
  double milliseconds_per_eviction = 0;  ///< all layers, scoring and compaction, one row; 0: none
  double scoring_share = 0;              ///< the policy's own share of the one-row decoding time
};

/// Throws Error(kConfig) when a context and the tokens decoded after it exceed a model's positions.
void require_contexts(const CostOptions& options, std::int64_t positions);

/// Feeds `text` [n] (repeated as needed) to every policy up to each context length, then decodes 2 windows of
/// tokens greedily, and with a batch one window of `batch` equal rows; times each. Throws Error(kConfig) when
/// a context and its decoding exceed the model's positions. `on_tokens` (optional) gets the number of tokens
/// done, of cost_tokens().
std::vector<PolicyCost> measure_cost(const Transformer& model, const std::vector<MeasuredPolicy>& policies,
                                     const CostOptions& options, const torch::Tensor& text,
                                     const std::function<void(std::int64_t)>& on_tokens = {});

/// Tokens that measure_cost will run for these policies.
std::int64_t cost_tokens(const std::vector<MeasuredPolicy>& policies, const CostOptions& options);

}  // namespace foresight
