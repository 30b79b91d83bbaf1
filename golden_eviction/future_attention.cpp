#include "golden_eviction/future_attention.h"

#include <algorithm>

#include "trainer/base/divide_up.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Queries of captured tensors that are processed together, so that their attention fits the processor's
/// cache.
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
  const std::int64_t blocks = divide_up(length, block_tokens);
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

std::int64_t windows_of(std::int64_t tokens, std::int64_t window) {
  return divide_up(tokens, window);
}

BlockRange blocks_of_windows(const OracleDimensions& dimensions, std::int64_t window, std::int64_t first,
                             std::int64_t count) {
  const std::int64_t block = dimensions.block_tokens;
  if (window < 1 || window % block != 0) {
    throw Error(ErrorKind::kConfig,
                concat("eviction.window ", window, " is not a multiple of the recorded block of ", block,
                       " tokens; choose another window or record the oracle again"));
  }
  const std::int64_t blocks = dimensions.blocks(), each = window / block,
                     windows = windows_of(dimensions.tokens, window);
  if (first < 0 || count < 1 || count > windows - first) {
    throw Error(ErrorKind::kInternal, concat("recorded attention: windows ", first, " .. ", first + count - 1,
                                             " were asked for, there are ", windows));
  }
  return {first * each, std::min(blocks, (first + count) * each) - first * each};
}

torch::Tensor unpack_windows(const torch::Tensor& packed, const OracleDimensions& dimensions,
                             std::int64_t window, std::int64_t first, std::int64_t count) {
  const BlockRange range = blocks_of_windows(dimensions, window, first, count);
  check_shape(packed, {-1, dimensions.elements_of_blocks(range.first, range.count)}, "recorded attention");
  torch::Tensor attention = torch::zeros({packed.size(0), count, dimensions.tokens});
  const std::int64_t each = window / dimensions.block_tokens, start = dimensions.first_element(range.first);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t begin = range.first + i * each,
                       end = std::min(begin + each, range.first + range.count);
    torch::Tensor mean = attention.select(1, i);  // [K, L]
    std::int64_t queries = 0;
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t keys = dimensions.keys_of_block(block);
      const torch::Tensor row = packed.narrow(1, dimensions.first_element(block) - start, keys);
      if (each == 1) {
        mean.narrow(1, 0, keys).copy_(row);
        continue;
      }
      const std::int64_t real = keys - block * dimensions.block_tokens;
      mean.narrow(1, 0, keys).add_(row.to(torch::kFloat32), static_cast<double>(real));
      queries += real;
    }
    if (each > 1) mean.div_(static_cast<double>(queries));
  }
  return attention;
}

}  // namespace foresight
