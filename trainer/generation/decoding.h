// Rows that are continued together: one loop for prompts and for decoded tokens.
#pragma once

#include <torch/types.h>

#include <functional>
#include <optional>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// The cache of R rows, full or evicting, and the hidden state of each row's last token.
class Decoding {
 public:
  /// With `select` the cache holds at most size.entries() entries per row and evicts as it fills, in the
  /// prompt too; without it the cache holds everything, up to `capacity` tokens.
  Decoding(const Transformer& model, std::int64_t rows, std::int64_t capacity,
           const std::optional<EvictionSelector>& select, const CacheSize& size);

  /// Rows of different length are padded on the left: [R] int64, the padding of each row. Full cache only.
  void set_padding(const torch::Tensor& padding);
  /// Feeds prompts [R, n]; eviction.protect_prompt protects those of the first call. `on_tokens` (optional)
  /// gets the number of a row's tokens done.
  void prefill(const torch::Tensor& prompts, const std::function<void(std::int64_t)>& on_tokens = {});
  /// Adds one token to every row: [R] int64.
  void decode(const torch::Tensor& tokens);

  /// Keeps only these rows (int64 indices). Full cache only.
  void keep_rows(const torch::Tensor& rows);
  /// Continues with `rows` rows equal to the first. An evicting cache can do this between two windows.
  void repeat_first(std::int64_t rows);

  /// [R, hidden] of the newest token of each row.
  const torch::Tensor& last() const { return last_; }
  /// Tokens that each row has seen, padding included.
  std::int64_t seen() const { return seen_; }
  /// Bytes of the key and value buffers.
  std::int64_t kv_bytes() const { return evicting_ ? evicting_->bytes() : full_->bytes(); }
  /// Times evictions from now on (EvictingCache::time_evictions).
  void time_evictions() {
    if (evicting_) evicting_->time_evictions();
  }
  EvictionTime eviction_time() const { return evicting_ ? evicting_->eviction_time() : EvictionTime{}; }

 private:
  void forward(const torch::Tensor& tokens);

  const Transformer* model_;
  std::optional<FullCache> full_;
  std::optional<EvictingCache> evicting_;
  torch::Tensor padding_;  // [R] on the CPU, or undefined
  torch::Tensor last_;
  std::int64_t seen_ = 0;
};

}  // namespace foresight
