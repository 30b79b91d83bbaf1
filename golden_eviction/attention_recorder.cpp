#include "golden_eviction/attention_recorder.h"

#include <algorithm>

#include "golden_eviction/future_attention.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

constexpr std::int64_t kElementBytes = 2;  // float16

std::filesystem::path scratch_path(const std::filesystem::path& file) {
  return std::filesystem::path(file).replace_extension("attention");
}

std::uint64_t scratch_bytes(const OracleDimensions& dimensions) {
  return static_cast<std::uint64_t>(dimensions.layers * dimensions.kv_heads * dimensions.packed_elements() *
                                    kElementBytes);
}

}  // namespace

AttentionRecorder::AttentionRecorder(const OracleDimensions& dimensions, const std::filesystem::path& file)
    : dimensions_(dimensions),
      scratch_(scratch_path(file), scratch_bytes(dimensions)),
      seen_(static_cast<std::size_t>(dimensions.layers)),
      row_(torch::empty({dimensions.kv_heads * dimensions.tokens}, torch::kFloat16)) {}

void AttentionRecorder::observe(std::int64_t layer, const torch::Tensor& probabilities) {
  check_shape(probabilities, {1, dimensions_.kv_heads, -1, -1, -1}, "watched attention");
  std::int64_t& seen = seen_.at(static_cast<std::size_t>(layer));
  const std::int64_t queries = probabilities.size(3), tokens = dimensions_.tokens,
                     block = dimensions_.block_tokens;
  if ((begun_layer_ >= 0 && begun_layer_ != layer) || probabilities.size(4) != seen + queries ||
      seen + queries > tokens) {
    throw Error(ErrorKind::kInternal,
                concat("recording attention: ", queries, " queries over ", probabilities.size(4),
                       " entries of layer ", layer, " do not follow the ", seen, " before them"));
  }
  for (std::int64_t first = 0; first < queries;) {
    const std::int64_t left = queries - first, begun = seen % block;
    const std::int64_t whole = seen + left == tokens ? left : left / block * block;
    const bool in_part = begun > 0 || whole == 0;
    const std::int64_t count = in_part ? std::min(left, block - begun) : whole;
    const torch::Tensor part = probabilities[0].narrow(2, first, count);
    in_part ? add_part(layer, part) : add_whole_blocks(layer, part);
    seen += count;
    first += count;
  }
}

void AttentionRecorder::add_whole_blocks(std::int64_t layer, const torch::Tensor& probabilities) {
  set_blocks_aside(layer, block_mean_attention(probabilities, dimensions_.block_tokens));
}

void AttentionRecorder::observe_means(std::int64_t layer, const torch::Tensor& means) {
  check_shape(means, {dimensions_.kv_heads, -1, -1}, "watched means of attention");
  std::int64_t& seen = seen_.at(static_cast<std::size_t>(layer));
  const std::int64_t first = seen / dimensions_.block_tokens, last = first + means.size(1) - 1;
  if (seen % dimensions_.block_tokens != 0 || begun_layer_ >= 0 || last >= dimensions_.blocks() ||
      dimensions_.keys_of_block(last) != means.size(2)) {
    throw Error(ErrorKind::kInternal,
                concat("recording attention: ", means.size(1), " blocks over ", means.size(2),
                       " entries of layer ", layer, " do not follow the ", seen, " queries before them"));
  }
  set_blocks_aside(layer, means);
  seen = means.size(2);
}

void AttentionRecorder::set_blocks_aside(std::int64_t layer, const torch::Tensor& means) {
  const std::int64_t first = seen_[static_cast<std::size_t>(layer)] / dimensions_.block_tokens;
  // From a GPU all blocks come at once: each copy makes the host wait.
  const torch::Tensor here = means.is_cpu() ? means : means.to(torch::kCPU, torch::kFloat16);
  for (std::int64_t i = 0; i < here.size(1); ++i) {
    set_aside(layer, first + i, here.select(1, i).narrow(1, 0, dimensions_.keys_of_block(first + i)));
  }
}

void AttentionRecorder::add_part(std::int64_t layer, const torch::Tensor& probabilities) {
  const std::int64_t seen = seen_[static_cast<std::size_t>(layer)], queries = probabilities.size(2);
  const std::int64_t block = seen / dimensions_.block_tokens, start = block * dimensions_.block_tokens;
  if (!sum_.defined())
    sum_ = torch::empty({dimensions_.kv_heads, dimensions_.tokens},
                        probabilities.options().dtype(torch::kFloat32));
  if (seen == start) sum_.zero_();
  begun_layer_ = layer;
  const std::int64_t entries = std::min(probabilities.size(3), dimensions_.keys_of_block(block));
  sum_.narrow(1, 0, entries).add_(probabilities.narrow(3, 0, entries).sum({1, 2}));
  const std::int64_t keys = dimensions_.keys_of_block(block);
  if (seen + queries < keys) return;
  set_aside(layer, block,
            sum_.narrow(1, 0, keys).div_(static_cast<double>(probabilities.size(1) * (keys - start))));
  begun_layer_ = -1;
}

void AttentionRecorder::set_aside(std::int64_t layer, std::int64_t block, const torch::Tensor& mean) {
  row_.narrow(0, 0, mean.numel()).view(mean.sizes()).copy_(mean);
  scratch_.write(place(layer, block, 0), {static_cast<const std::byte*>(row_.const_data_ptr()),
                                          static_cast<std::size_t>(mean.numel() * kElementBytes)});
}

std::uint64_t AttentionRecorder::place(std::int64_t layer, std::int64_t block, std::int64_t head) const {
  const std::int64_t before =
      dimensions_.kv_heads * (layer * dimensions_.packed_elements() + dimensions_.first_element(block));
  return static_cast<std::uint64_t>((before + head * dimensions_.keys_of_block(block)) * kElementBytes);
}

torch::Tensor AttentionRecorder::packed(std::int64_t layer) const {
  if (seen_.at(static_cast<std::size_t>(layer)) != dimensions_.tokens) {
    throw Error(ErrorKind::kInternal,
                concat("recording attention: layer ", layer, " saw ", seen_[static_cast<std::size_t>(layer)],
                       " of ", dimensions_.tokens, " queries"));
  }
  torch::Tensor packed = torch::empty({dimensions_.kv_heads, dimensions_.packed_elements()}, torch::kFloat16);
  auto* next = static_cast<std::byte*>(packed.data_ptr());
  for (std::int64_t head = 0; head < dimensions_.kv_heads; ++head) {
    for (std::int64_t block = 0; block < dimensions_.blocks(); ++block) {
      const auto bytes = static_cast<std::size_t>(dimensions_.keys_of_block(block) * kElementBytes);
      scratch_.read(place(layer, block, head), {next, bytes});
      next += bytes;
    }
  }
  return packed;
}

}  // namespace foresight
