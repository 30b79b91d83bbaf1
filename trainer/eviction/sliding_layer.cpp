#include "trainer/eviction/sliding_layer.h"

#include <algorithm>
#include <vector>

#include "trainer/base/heartbeat.h"
#include "trainer/eviction/full_cache.h"

namespace foresight {

std::int64_t SlidingLayer::entries(const ModelShape& shape, std::int64_t longest,
                                   const torch::Device& device) {
  const std::int64_t window = shape.sliding_window;
  const std::int64_t spare = std::max(default_query_block(device), window / 4);
  return std::min(longest, window - 1 + spare);
}

SlidingLayer::SlidingLayer(const ModelShape& shape, std::int64_t rows, std::int64_t longest,
                           const ModelOptions& options)
    : rule_{.score_cap = shape.score_cap, .window = shape.sliding_window},
      piece_(default_query_block(options.device)),
      keys_(
          torch::empty({rows, shape.kv_heads, entries(shape, longest, options.device), shape.head_dimension},
                       torch::TensorOptions().device(options.device).dtype(options.cache_dtype))),
      values_(torch::empty_like(keys_)) {}

void SlidingLayer::make_room(std::int64_t count) {
  if (live_ + count <= keys_.size(2)) return;
  const std::int64_t kept = std::min(live_, rule_.window - 1);
  for (torch::Tensor* buffer : {&keys_, &values_})
    buffer->narrow(2, 0, kept).copy_(buffer->narrow(2, live_ - kept, kept).clone());
  live_ = kept;
}

torch::Tensor SlidingLayer::attend(const torch::Tensor& query, const torch::Tensor& key,
                                   const torch::Tensor& value, const torch::Tensor& padding,
                                   const torch::Tensor& sinks) {
  const std::int64_t rows = query.size(0), heads = key.size(1), tokens = query.size(2), d = query.size(3);
  if (rows != keys_.size(0)) repeat_rows(rows / keys_.size(0));
  const torch::Tensor grouped = query.view({rows, heads, -1, tokens, d});
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0; first < tokens; first += piece_) {
    heartbeat();
    const std::int64_t count = std::min(piece_, tokens - first);
    make_room(count);
    keys_.narrow(2, live_, count).copy_(key.narrow(2, first, count));
    values_.narrow(2, live_, count).copy_(value.narrow(2, first, count));
    live_ += count;
    seen_ += count;
    const std::int64_t visible = std::min(live_, rule_.window - 1 + count), start = live_ - visible;
    const torch::Tensor hidden =
        padding.defined() ? (padding - (seen_ - visible)).clamp_min(0) : torch::Tensor();
    const torch::Tensor probabilities = attention_probabilities(
        grouped.narrow(3, first, count), keys_.narrow(2, start, visible), hidden, rule_.with_sinks(sinks));
    outputs.push_back(attention_output(probabilities, values_.narrow(2, start, visible)));
  }
  return (outputs.size() == 1 ? outputs.front() : torch::cat(outputs, 3)).view(query.sizes());
}

void SlidingLayer::repeat_rows(std::int64_t copies) {
  if (copies == 1) return;
  for (torch::Tensor* buffer : {&keys_, &values_}) *buffer = buffer->repeat({copies, 1, 1, 1});
}

void SlidingLayer::keep_rows(const torch::Tensor& rows) {
  for (torch::Tensor* buffer : {&keys_, &values_}) *buffer = buffer->index_select(0, rows);
}

std::int64_t SlidingLayer::bytes() const {
  return static_cast<std::int64_t>(keys_.nbytes() + values_.nbytes());
}

}  // namespace foresight
