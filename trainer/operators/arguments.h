// What the operators ask of their arguments. A failed check is a RuntimeError in Python.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <initializer_list>
#include <optional>

#include "trainer/operators/kernels.h"

namespace foresight::operators {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

/// Refuses a tensor whose sizes are others than `sizes`; -1 stands for any.
void require_sizes(const Tensor& tensor, std::initializer_list<std::int64_t> sizes, const char* name);
/// Refuses a tensor of another type, with gaps between its numbers, or of other sizes.
void require_packed(const Tensor& tensor, ScalarType type, std::initializer_list<std::int64_t> sizes,
                    const char* name);

/// Refuses what is not [.., .., .., ..] of float32, float16 or bfloat16. Checks stand before the parallel
/// part, which would hide their message.
void require_cache(const Tensor& cache, const char* name);

/// g, of statistics [.., .., .., 8g]; refuses other types and sizes.
std::int64_t group_of(const Tensor& statistics);

/// The indices of kept [R, K, M], on the CPU; refuses those that do not ascend within 0 .. entries-1.
const std::int32_t* kept_indices(const Tensor& kept, std::int64_t rows, std::int64_t heads,
                                 std::int64_t entries);

/// One more than the largest index of kept [R, K, M], which is refused as kept_indices() does; cache is
/// paged, table [R, blocks a row]. Both indices lie on the CPU.
std::int64_t furthest_kept(const Tensor& cache, const Tensor& table, const Tensor& kept);

/// Refuses a number of queries that is not 1 to `entries`.
void require_queries(std::int64_t tokens, std::int64_t entries);

/// Refuses a window's last queries [R, K, g, q, d] that are more than kServingQueries, or whose own entries
/// are among the first `count` of `live`.
void require_recent(const Tensor& query, std::int64_t rows, std::int64_t heads, std::int64_t width,
                    std::int64_t live, std::int64_t count);

/// Refuses a number of entries to evict that is not 0 to `count`.
void require_evictions(std::int64_t evict, std::int64_t count);

/// Refuses scores [R, K, N] on the CPU with a NaN, or with fewer than `evict` entries that are not protected.
void require_choice(const Tensor& scores, std::int64_t evict, const std::optional<Tensor>& protect);

/// One KV head of row `row` of a dense cache [R, K, N, width].
Entries dense_entries(const Tensor& cache, std::int64_t row, std::int64_t head);

/// The blocks of R requests in a paged cache [blocks, K, block size, width].
class Pages {
 public:
  /// table [R, M] int32; entries: how many of them each row uses. Refuses what lies outside the cache.
  Pages(const Tensor& cache, const Tensor& table, const std::int32_t* live, std::int64_t at_least,
        const char* name);
  Entries entries(std::int64_t row, std::int64_t head) const;
  std::int64_t rows() const { return rows_; }
  std::int64_t heads() const { return heads_; }

 private:
  Entries first_;  // of head 0 in block 0
  const std::int32_t* table_;
  std::int64_t rows_, heads_, columns_, head_bytes_;
};

/// The rows of a forward pass as observe_paged_ takes them, checked. The index tensors lie on the CPU.
class PassRows {
 public:
  PassRows(const Tensor& query, const Tensor& key_cache, const Tensor& statistics, const Tensor& table,
           const Tensor& query_start, const Tensor& live, const Tensor& first, const Tensor& window);
  const Pages& keys() const { return keys_; }
  const Pages& statistics() const { return statistics_; }
  std::int64_t group() const { return group_; }
  std::int64_t start(std::int64_t row) const { return starts_[row]; }
  std::int64_t tokens(std::int64_t row) const { return starts_[row + 1] - starts_[row]; }
  std::int64_t live(std::int64_t row) const { return live_[row]; }
  std::int64_t first(std::int64_t row) const { return first_[row]; }
  std::int64_t window(std::int64_t row) const { return windows_[row]; }

 private:
  const std::int32_t* live_;
  Pages keys_, statistics_;
  std::int64_t group_;
  const std::int32_t *starts_, *first_, *windows_;
};

/// The networks of all KV heads; refuses weights of other shapes than [K, F, 16], [K, 16], [K, 16], [K].
class Networks {
 public:
  Networks(const Tensor& weight1, const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
           std::int64_t heads, std::int64_t inputs);
  Network head(std::int64_t head) const;

 private:
  const float *weight1_, *bias1_, *weight2_, *bias2_;
  std::int64_t inputs_;
};

/// The networks of score_serving(), all of whose arguments are checked: a dense cache [R, K, N, d] and the
/// last queries of its window.
Networks serving_networks(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& weight1,
                          const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                          std::int64_t count);

}  // namespace foresight::operators
