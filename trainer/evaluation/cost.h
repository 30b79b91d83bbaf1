// What a policy costs and saves while text is generated: cache memory, speed, time spent on evictions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/eviction/evicted_pass.h"

namespace foresight {

/// A policy whose generation is measured; no selector: the full cache.
struct MeasuredPolicy {
  std::string name;
  std::optional<EvictionSelector> select;
};

/// One policy's figures; vectors have one entry a context length.
struct PolicyCost {
  std::string name;
  std::vector<std::int64_t> kv_bytes;  ///< allocated for keys and values, one row, room to decode included
  std::vector<double> prefill_tokens_per_second;
  std::vector<double> decode_tokens_per_second;  ///< batch 1, greedy
  double milliseconds_per_eviction = 0;  ///< all layers, scoring and compaction, while decoding; 0: none
  double scoring_share = 0;              ///< share of the decoding time that the policy itself takes
};

/// Feeds `text` [n] (repeated as needed) to every policy up to each context length, then decodes 2 windows of
/// tokens greedily and times both. Throws Error(kConfig) when a context and its decoding exceed the model's
/// positions. `on_tokens` (optional) is told the tokens done of cost_tokens().
std::vector<PolicyCost> measure_cost(const Transformer& model, const std::vector<MeasuredPolicy>& policies,
                                     const CacheSize& size, const std::vector<std::int64_t>& contexts,
                                     const torch::Tensor& text,
                                     const std::function<void(std::int64_t)>& on_tokens = {});

/// Tokens that measure_cost will run.
std::int64_t cost_tokens(std::size_t policies, const CacheSize& size,
                         const std::vector<std::int64_t>& contexts);

/// Most memory this process has held so far, in bytes.
std::int64_t peak_resident_bytes();

}  // namespace foresight
