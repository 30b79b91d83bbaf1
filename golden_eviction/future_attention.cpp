#include "golden_eviction/future_attention.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Of captured tensors so many queries are looked at together: their attention stays in a cache near the
/// core.
constexpr std::int64_t kQueriesTogether = 32;

}  // namespace

torch::Tensor block_mean_attention(const torch::Tensor& probabilities, std::int64_t block_tokens) {
  check_shape(probabilities, {-1, -1, -1, -1}, "attention probabilities");
  const torch::Tensor per_query = probabilities.mean(1);  // [K, T, n]
  const std::int64_t tokens = per_query.size(1);
  if (tokens % block_tokens == 0) {
    return per_query.view({per_query.size(0), tokens / block_tokens, block_tokens, per_query.size(2)})
        .mean(2);
  }
  std::vector<torch::Tensor> blocks;
  for (std::int64_t first = 0; first < tokens; first += block_tokens) {
    blocks.push_back(per_query.narrow(1, first, std::min(block_tokens, tokens - first)).mean(1));
  }
  return torch::stack(blocks, 1);
}

torch::Tensor future_attention(const torch::Tensor& query, const torch::Tensor& key,
                               std::int64_t block_tokens) {
  const bool fits = query.dim() == 3 && key.dim() == 3 && query.size(1) == key.size(1) &&
                    query.size(2) == key.size(2) && key.size(0) > 0 && query.size(0) % key.size(0) == 0 &&
                    query.size(1) > 0;
  if (!fits) {
    throw Error(ErrorKind::kInput,
                concat("expected query [H, L, d] and key [K, L, d] with H a multiple of K, got query ",
                       query.sizes(), " and key ", key.sizes()));
  }
  const std::int64_t heads = key.size(0), group = query.size(0) / heads, length = key.size(1),
                     d = key.size(2);
  const torch::Tensor grouped = query.to(torch::kFloat32).reshape({1, heads, group, length, d});
  const torch::Tensor keys = key.to(torch::kFloat32).unsqueeze(0);
  const std::int64_t blocks = (length + block_tokens - 1) / block_tokens;
  torch::Tensor attention = torch::zeros({heads, blocks, length});
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * block_tokens, count = std::min(block_tokens, length - first);
    for (std::int64_t part = 0; part < count; part += kQueriesTogether) {
      const std::int64_t queries = std::min(kQueriesTogether, count - part), seen = first + part + queries;
      const torch::Tensor probabilities =
          attention_probabilities(grouped.narrow(3, first + part, queries), keys.narrow(2, 0, seen))[0];
      attention.select(1, block).narrow(1, 0, seen).add_(probabilities.sum({1, 2}));
    }
    attention.select(1, block).div_(static_cast<double>(group * count));
  }
  return attention;
}

torch::Tensor pack_attention(const torch::Tensor& attention, const OracleDimensions& dimensions) {
  check_shape(attention, {dimensions.kv_heads, dimensions.blocks(), dimensions.tokens}, "future attention");
  std::vector<torch::Tensor> rows;
  for (std::int64_t block = 0; block < dimensions.blocks(); ++block) {
    rows.push_back(attention.select(1, block).narrow(1, 0, dimensions.keys_of_block(block)));
  }
  return torch::cat(rows, 1).to(torch::kFloat16).contiguous();
}

torch::Tensor unpack_attention(const torch::Tensor& packed, const OracleDimensions& dimensions) {
  check_shape(packed, {dimensions.kv_heads, dimensions.packed_elements()}, "packed attention");
  torch::Tensor attention = torch::zeros({dimensions.kv_heads, dimensions.blocks(), dimensions.tokens});
  std::int64_t offset = 0;
  for (std::int64_t block = 0; block < dimensions.blocks(); ++block) {
    const std::int64_t keys = dimensions.keys_of_block(block);
    attention.select(1, block).narrow(1, 0, keys).copy_(packed.narrow(1, offset, keys));
    offset += keys;
  }
  return attention;
}

torch::Tensor merge_blocks(const torch::Tensor& attention, std::int64_t block_tokens, std::int64_t window) {
  check_shape(attention, {-1, -1, -1}, "future attention");
  if (window % block_tokens != 0) {
    throw Error(ErrorKind::kConfig,
                concat("eviction.window ", window, " is not a multiple of the recorded block of ",
                       block_tokens, " tokens; choose another window or record the oracle again"));
  }
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

}  // namespace foresight
