// What the operators ask of their arguments. A failed check is a RuntimeError in Python.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <initializer_list>

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

}  // namespace foresight::operators
