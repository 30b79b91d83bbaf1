#include "golden_eviction/attention_strips.h"

#include <algorithm>

#include "golden_eviction/future_attention.h"

namespace foresight {

AttentionStrips::AttentionStrips(const std::vector<const RecordedTrace*>& traces, std::int64_t window,
                                 std::int64_t strip_bytes)
    : window_(window) {
  std::int64_t strips = 0;
  for (const RecordedTrace* trace : traces) {
    const OracleDimensions& dimensions = readers_.emplace_back(trace->file).dimensions();
    blocks_of_windows(dimensions, window, 0, 1);  // checks that the window fits the recorded blocks
    strips_.emplace_back(static_cast<std::size_t>(dimensions.layers));
    strips += dimensions.layers;
  }
  bytes_each_ = strip_bytes / std::max<std::int64_t>(strips, 1);
}

std::int64_t AttentionStrips::windows_from(const OracleDimensions& dimensions, std::int64_t first) const {
  const auto bytes_of = [&](std::int64_t count) {
    const BlockRange blocks = blocks_of_windows(dimensions, window_, first, count);
    return dimensions.kv_heads * dimensions.elements_of_blocks(blocks.first, blocks.count) *
           static_cast<std::int64_t>(sizeof(std::uint16_t));
  };
  const std::int64_t most = windows_of(dimensions.tokens, window_) - first;
  std::int64_t count = 1;
  while (count < most && bytes_of(count + 1) <= bytes_each_) ++count;
  return count;
}

torch::Tensor AttentionStrips::window(std::int64_t layer, std::int64_t index) {
  std::vector<torch::Tensor> rows;  // [K, L] of each trace
  for (std::size_t trace = 0; trace < readers_.size(); ++trace) {
    const OracleReader& reader = readers_[trace];
    const OracleDimensions& dimensions = reader.dimensions();
    Strip& strip = strips_[trace].at(static_cast<std::size_t>(layer));
    if (index < strip.first || index >= strip.first + strip.count) {
      strip = {};  // freed before the new one is read
      const std::int64_t count = windows_from(dimensions, index);
      const BlockRange blocks = blocks_of_windows(dimensions, window_, index, count);
      strip = {index, count, reader.read_rows(layer, blocks.first, blocks.count)};
    }
    const BlockRange all = blocks_of_windows(dimensions, window_, strip.first, strip.count);
    const BlockRange own = blocks_of_windows(dimensions, window_, index, 1);
    const std::int64_t elements = dimensions.elements_of_blocks(all.first, all.count);
    const torch::Tensor packed =
        torch::from_blob(strip.bits.data(), {dimensions.kv_heads, elements}, torch::kFloat16);
    const torch::Tensor part =
        packed.narrow(1, dimensions.first_element(own.first) - dimensions.first_element(all.first),
                      dimensions.elements_of_blocks(own.first, own.count));
    rows.push_back(unpack_windows(part, dimensions, window_, index, 1).select(1, 0));
  }
  return torch::stack(rows);
}

}  // namespace foresight
