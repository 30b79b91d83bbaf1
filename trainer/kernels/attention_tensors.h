// The tensors that every attention is of: whether they fit, and their bare memory.
#pragma once

#include <torch/types.h>

#include "trainer/kernels/attention_work.h"

namespace foresight::kernels {

/// Whether query [R, K, g, T, d] float32, the last dimension without gaps, fits a cache of keys and values
/// [R, K, N, d], contiguous and both float32 or both bfloat16, of whose `live` entries the last T are the
/// queries' own; and sinks [K g] float32, if they are defined.
bool fit_together(const torch::Tensor& query, const torch::Tensor& keys, const torch::Tensor& values,
                  std::int64_t live, const torch::Tensor& sinks);

/// The query with the heads of a row at one distance, copied where they are not.
torch::Tensor with_even_heads(const torch::Tensor& query);

/// Room for the output of such queries: [R, T, K g, d].
torch::Tensor room_for_output(const torch::Tensor& query);

/// Tensors that fit together, with even heads, on bare memory. They must live as long as the work does.
AttentionWork describe_tensors(const torch::Tensor& query, const torch::Tensor& keys,
                               const torch::Tensor& values, std::int64_t live, const torch::Tensor& sinks,
                               torch::Tensor& output);

}  // namespace foresight::kernels
