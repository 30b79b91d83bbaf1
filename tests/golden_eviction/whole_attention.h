// Recorded attention of whole traces: the reference for what is read in parts.
#pragma once

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "data/oracle_file.h"
#include "tests/data/whole_layer.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// [K, blocks, L] float32 as the packed causal half [K, packed_elements()] float16 that files hold.
inline torch::Tensor pack_attention(const torch::Tensor& attention, const OracleDimensions& dimensions) {
  std::vector<torch::Tensor> rows;
  for (std::int64_t block = 0; block < dimensions.blocks(); ++block) {
    rows.push_back(attention.select(1, block).narrow(1, 0, dimensions.keys_of_block(block)));
  }
  return torch::cat(rows, 1).to(torch::kFloat16).contiguous();
}

/// The reverse of pack_attention().
inline torch::Tensor unpack_attention(const torch::Tensor& packed, const OracleDimensions& dimensions) {
  torch::Tensor attention = torch::zeros({dimensions.kv_heads, dimensions.blocks(), dimensions.tokens});
  std::int64_t offset = 0;
  for (std::int64_t block = 0; block < dimensions.blocks(); ++block) {
    const std::int64_t keys = dimensions.keys_of_block(block);
    attention.select(1, block).narrow(1, 0, keys).copy_(packed.narrow(1, offset, keys));
    offset += keys;
  }
  return attention;
}

/// Joins recorded blocks to windows of `window` tokens, weighted by the queries each block really has: [K,
/// blocks, L] -> [K, ceil(L / window), L].
inline torch::Tensor merge_blocks(const torch::Tensor& attention, std::int64_t block_tokens,
                                  std::int64_t window) {
  if (window == block_tokens) return attention;
  const std::int64_t blocks = attention.size(1), length = attention.size(2);
  std::vector<torch::Tensor> windows;
  for (std::int64_t first = 0; first * block_tokens < length; first += window / block_tokens) {
    torch::Tensor sum = torch::zeros({attention.size(0), length});
    std::int64_t queries = 0;
    for (std::int64_t block = first; block < std::min(blocks, first + window / block_tokens); ++block) {
      const std::int64_t real = std::min(block_tokens, length - block * block_tokens);
      sum.add_(attention.select(1, block), static_cast<double>(real));
      queries += real;
    }
    windows.push_back(sum.div_(static_cast<double>(queries)));
  }
  return torch::stack(windows, 1);
}

/// The recorded attention of every layer in windows: [K, ceil(L / window), L] float32 each.
inline std::vector<torch::Tensor> whole_attention(const RecordedTrace& trace, std::int64_t window) {
  const OracleReader reader(trace.file);
  const OracleDimensions& dimensions = reader.dimensions();
  std::vector<torch::Tensor> layers;
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    std::vector<std::uint16_t> bits = whole_layer(reader, layer);
    const torch::Tensor packed =
        torch::from_blob(bits.data(), {dimensions.kv_heads, dimensions.packed_elements()}, torch::kFloat16);
    layers.push_back(merge_blocks(unpack_attention(packed, dimensions), dimensions.block_tokens, window));
  }
  return layers;
}

}  // namespace foresight
