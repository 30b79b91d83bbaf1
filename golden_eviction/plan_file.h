// Golden eviction on captured tensors, to check the oracle on queries and keys of your own.
#pragma once

#include <filesystem>

#include "trainer/config/cache_size.h"

namespace foresight {

enum class PlanPrecision { kFloat32, kStored };

/// Reads `query` [H, L, d] and `key` [K, L, d] (after the rotary embedding) from a safetensors file and
/// writes `future_attention` [K, blocks, L] float32, `evicted` [K, steps, W] int64 and `contribution` [K,
/// steps, B] float32 (and `candidates` [K, steps, B] int64, the positions of the values of contribution).
/// kStored rounds the attention to float16 first, as the pipeline's files do. Throws Error(kInput) for
/// tensors that do not fit, Error(kConfig) for an invalid budget or window, and if both files are the same.
void plan_file(const std::filesystem::path& attention_file, const CacheSize& size, PlanPrecision precision,
               const std::filesystem::path& output_file);

}  // namespace foresight
