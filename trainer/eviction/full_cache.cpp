#include "trainer/eviction/full_cache.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/kernels/full_attention.h"

namespace foresight {

std::int64_t default_query_block(const torch::Device& device) {
  return device.is_cuda() ? 1024 : 128;
}

FullCache::FullCache(const ModelShape& shape, std::int64_t rows, std::int64_t capacity,
                     const ModelOptions& options)
    : places_(shape.layer_places()),
      layers_(static_cast<std::size_t>(shape.evicting_layers())),
      rule_{.score_cap = shape.score_cap},
      group_(shape.group()),
      query_block_(default_query_block(options.device)),
      fused_dtype_(options.dtype) {
  const auto buffer = torch::TensorOptions().device(options.device).dtype(options.cache_dtype);
  for (Layer& layer : layers_) {
    layer.keys = torch::empty({rows, shape.kv_heads, capacity, shape.head_dimension}, buffer);
    layer.values = torch::empty_like(layer.keys);
  }
  for (const LayerPlace& place : places_) {
    if (place.kind == AttentionKind::kSliding) sliding_.emplace_back(shape, rows, capacity, options);
    if (place.kind == AttentionKind::kRecurrent)
      recurrent_.emplace_back(shape.recurrent, rows, options.device);
  }
}

torch::Tensor FullCache::attend(std::int64_t number, const torch::Tensor& query, const torch::Tensor& key,
                                const torch::Tensor& value, const torch::Tensor& sinks) {
  const LayerPlace& place = places_.at(static_cast<std::size_t>(number));
  if (!place.evicts()) return sliding_[place.index].attend(query, key, value, padding_, sinks);
  const auto index = static_cast<std::int64_t>(place.index);
  Layer& layer = layers_[place.index];
  const std::int64_t rows = query.size(0), heads = key.size(1), tokens = query.size(2), d = query.size(3);
  if (layer.live + tokens > layer.keys.size(2)) {
    throw Error(ErrorKind::kInternal,
                concat("full cache of ", layer.keys.size(2), " tokens cannot take ", layer.live + tokens));
  }
  layer.keys.narrow(2, layer.live, tokens).copy_(key);
  layer.values.narrow(2, layer.live, tokens).copy_(value);
  layer.live += tokens;
  const torch::Tensor grouped = query.view({rows, heads, group_, tokens, d});
  if (suits_block_observer(query)) return attend_blocks(index, grouped, sinks);
  if (!observer_ && rule_.score_cap == 0.0) {
    if (kernels::suits_full_attention(query.device(), group_ * tokens, d, fused_dtype_))
      return attend_by_kernel(layer, grouped, sinks);
    if (!padding_.defined() && suits_causal_attention(query, fused_dtype_)) {
      return causal_attention(query.to(fused_dtype_), layer.keys.narrow(2, 0, layer.live).to(fused_dtype_),
                              layer.values.narrow(2, 0, layer.live).to(fused_dtype_), sinks);
    }
  }
  const AttentionRule rule = rule_.with_sinks(sinks);
  const std::int64_t before = layer.live - tokens;
  std::vector<torch::Tensor> outputs;
  for (std::int64_t block = 0; block < tokens; block += query_block_) {
    const std::int64_t end = std::min(tokens, block + query_block_);
    const std::int64_t together = queries_together(rows * heads * group_, end - block, before + end);
    for (std::int64_t first = block; first < end; first += together) {
      heartbeat();
      const std::int64_t count = std::min(together, end - first);
      outputs.push_back(attend_block(index, grouped.narrow(3, first, count), before + first + count, rule));
    }
  }
  return (outputs.size() == 1 ? outputs.front() : torch::cat(outputs, 3))
      .view({rows, heads * group_, tokens, d});
}

torch::Tensor FullCache::attend_by_kernel(const Layer& layer, const torch::Tensor& query,
                                          const torch::Tensor& sinks) const {
  const kernels::Processor processor = kernels::best_processor(fused_dtype_);
  // Many queries are worth a copy that products of pairs can take.
  const bool copies = group_ * query.size(3) > kernels::kFewQueries &&
                      processor >= kernels::Processor::kAvx512Bfloat16 &&
                      layer.keys.scalar_type() != fused_dtype_;
  const auto in_products = [&](const torch::Tensor& cached) {
    return copies ? cached.narrow(2, 0, layer.live).to(fused_dtype_) : cached;
  };
  return kernels::full_attention({.query = query,
                                  .keys = in_products(layer.keys),
                                  .values = in_products(layer.values),
                                  .live = layer.live,
                                  .hidden = padding_,
                                  .sinks = sinks},
                                 processor);
}

bool FullCache::suits_block_observer(const torch::Tensor& query) const {
  return block_observer_ && query.size(0) == 1 && rule_.score_cap == 0.0 && !padding_.defined() &&
         kernels::suits_attention_means(query.device(), query.size(3));
}

torch::Tensor FullCache::attend_blocks(std::int64_t index, const torch::Tensor& query,
                                       const torch::Tensor& sinks) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const std::int64_t tokens = query.size(3), before = layer.live - tokens;
  const std::int64_t bytes = query.size(1) * kernels::numbers_of_means(query.device(), group_) *
                             layer.keys.size(2) * static_cast<std::int64_t>(sizeof(float));  // of a block
  const std::int64_t together = std::max<std::int64_t>(1, attention_bytes_ / bytes) * block_tokens_;
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0; first < tokens;) {
    heartbeat();
    const std::int64_t left = tokens - first, whole = left / block_tokens_ * block_tokens_;
    const std::int64_t count = whole > 0 ? std::min(whole, together) : left;
    const kernels::WindowMeans part =
        kernels::attention_means({.query = query.narrow(3, first, count),
                                  .keys = layer.keys,
                                  .values = layer.values,
                                  .live = before + first + count,
                                  .sinks = sinks},
                                 std::min(count, block_tokens_), kernels::best_processor(fused_dtype_));
    block_observer_(index, part.means[0].narrow(2, 0, before + first + count));
    outputs.push_back(part.output);
    first += count;
  }
  return outputs.size() == 1 ? outputs.front() : torch::cat(outputs, 2);
}

RecurrentState& FullCache::recurrent_state(std::int64_t number) {
  RecurrentState& state = recurrent_.at(places_.at(static_cast<std::size_t>(number)).index);
  state.set_padding(padding_);
  return state;
}

torch::Tensor FullCache::attend_block(std::int64_t index, const torch::Tensor& query, std::int64_t entries,
                                      const AttentionRule& rule) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const torch::Tensor probabilities =
      attention_probabilities(query, layer.keys.narrow(2, 0, entries), padding_, rule);
  if (observer_) observer_(index, probabilities);
  return attention_output(probabilities, layer.values.narrow(2, 0, entries));
}

std::int64_t FullCache::queries_together(std::int64_t rows_and_heads, std::int64_t block,
                                         std::int64_t entries) const {
  const std::int64_t query_bytes = rows_and_heads * entries * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t most = std::max<std::int64_t>(1, attention_bytes_ / query_bytes);
  const std::int64_t parts = (block + most - 1) / most;
  return (block + parts - 1) / parts;
}

void FullCache::keep_rows(const torch::Tensor& rows) {
  for (Layer& layer : layers_) {
    layer.keys = layer.keys.index_select(0, rows);
    layer.values = layer.values.index_select(0, rows);
  }
  for (SlidingLayer& layer : sliding_) layer.keep_rows(rows);
  for (RecurrentState& state : recurrent_) state.keep_rows(rows);
  if (padding_.defined()) padding_ = padding_.index_select(0, rows);
}

std::int64_t FullCache::tokens() const {
  return layers_.back().live;
}

std::int64_t FullCache::bytes() const {
  std::int64_t total = 0;
  for (const Layer& layer : layers_)
    total += static_cast<std::int64_t>(layer.keys.nbytes() + layer.values.nbytes());
  for (const SlidingLayer& layer : sliding_) total += layer.bytes();
  for (const RecurrentState& state : recurrent_) total += state.bytes();
  return total;
}

}  // namespace foresight
