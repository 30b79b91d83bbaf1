// What every attention is of, on bare memory. No torch.
#pragma once

#include <cstdint>

namespace foresight::kernels {

/// Largest head dimension of the kernels.
inline constexpr std::int64_t kLargestWidth = 256;

/// T queries of each of R rows and K * g heads over the n live entries of their KV head, of which the last T
/// are their own. Strides count numbers; the numbers of a vector lie together.
struct AttentionWork {
  const float* query = nullptr;  ///< [R, K * g, T, d]
  std::int64_t query_row = 0, query_head = 0, query_token = 0;
  const void* keys = nullptr;    ///< [R, K, capacity, d], float32 or bfloat16
  const void* values = nullptr;  ///< as the keys
  bool bfloat16 = false;         ///< type of keys and values
  float* output = nullptr;       ///< [R, T, K * g, d]
  std::int64_t rows = 0, kv_heads = 0, group = 0, tokens = 0, width = 0;
  std::int64_t live = 0, capacity = 0;
  float scale = 1;               ///< of the products, above 0
  const float* sinks = nullptr;  ///< [K * g]: e^sink stands in the softmax's denominator; null: nothing does
};

}  // namespace foresight::kernels
