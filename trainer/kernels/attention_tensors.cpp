#include "trainer/kernels/attention_tensors.h"

#include <torch/utils.h>

#include <cmath>

namespace foresight::kernels {

bool fit_together(const torch::Tensor& query, const torch::Tensor& keys, const torch::Tensor& values,
                  std::int64_t live, const torch::Tensor& sinks) {
  if (query.dim() != 5 || keys.dim() != 4 || query.scalar_type() != torch::kFloat32) return false;
  const std::int64_t rows = query.size(0), kv_heads = query.size(1), group = query.size(2),
                     tokens = query.size(3), width = query.size(4), capacity = keys.size(2);
  const bool caches_fit =
      (keys.scalar_type() == torch::kFloat32 || keys.scalar_type() == torch::kBFloat16) &&
      keys.is_contiguous() && keys.sizes() == torch::IntArrayRef({rows, kv_heads, capacity, width}) &&
      values.is_contiguous() && values.sizes() == keys.sizes() && values.scalar_type() == keys.scalar_type();
  const bool sinks_fit =
      !sinks.defined() || (sinks.scalar_type() == torch::kFloat32 && sinks.device() == query.device() &&
                           sinks.is_contiguous() && sinks.sizes() == torch::IntArrayRef({kv_heads * group}));
  return caches_fit && sinks_fit && tokens >= 1 && tokens <= live && live <= capacity &&
         width <= kLargestWidth && (width == 1 || query.stride(4) == 1);
}

torch::Tensor with_even_heads(const torch::Tensor& query) {
  return query.stride(1) == query.size(2) * query.stride(2) ? query : query.contiguous();
}

torch::Tensor room_for_output(const torch::Tensor& query) {
  return torch::empty({query.size(0), query.size(3), query.size(1) * query.size(2), query.size(4)},
                      query.options());
}

AttentionWork describe_tensors(const torch::Tensor& query, const torch::Tensor& keys,
                               const torch::Tensor& values, std::int64_t live, const torch::Tensor& sinks,
                               torch::Tensor& output) {
  const std::int64_t group = query.size(2), width = query.size(4);
  return {.query = query.const_data_ptr<float>(),
          .query_row = query.stride(0),
          .query_head = group == 1 ? query.stride(1) : query.stride(2),
          .query_token = query.stride(3),
          .keys = keys.const_data_ptr(),
          .values = values.const_data_ptr(),
          .bfloat16 = keys.scalar_type() == torch::kBFloat16,
          .output = output.mutable_data_ptr<float>(),
          .rows = query.size(0),
          .kv_heads = query.size(1),
          .group = group,
          .tokens = query.size(3),
          .width = width,
          .live = live,
          .capacity = keys.size(2),
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width))),
          .sinks = sinks.defined() ? sinks.const_data_ptr<float>() : nullptr};
}

}  // namespace foresight::kernels
