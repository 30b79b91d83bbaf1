#include "trainer/eviction/evicting_cache.h"

#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/entries.h"
#include "trainer/eviction/gpu_entries.h"
#include "trainer/eviction/grouped_attention.h"
#include "trainer/kernels/launch.h"
#include "trainer/model/device.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

constexpr double kDecayPerWindow = 0.9;  // docs/method.md, "The scorer"

}  // namespace

EvictingCache::EvictingCache(const ModelShape& shape, const RowLayout& rows, const CacheSize& size,
                             std::int64_t total_tokens, EvictionSelector select, const ModelOptions& options)
    : places_(shape.layer_places()),
      layers_(static_cast<std::size_t>(shape.evicting_layers())),
      rule_{.score_cap = shape.score_cap},
      rotation_(shape, options.device),
      processor_(kernels::best_processor(options.dtype)),
      size_(size),
      rows_(rows),
      group_(shape.group()),
      budget_(size.budget),
      window_(size.window),
      total_tokens_(total_tokens),
      select_(std::move(select)) {
  const auto buffer = torch::TensorOptions().device(options.device);
  for (Layer& layer : layers_) {
    layer.keys = torch::empty({rows.traces, shape.kv_heads, size.entries(), shape.head_dimension},
                              buffer.dtype(options.cache_dtype));
    layer.values = torch::empty_like(layer.keys);
    layer.positions =
        torch::empty({rows.traces, shape.kv_heads, size.entries()}, buffer.dtype(torch::kInt64));
    layer.statistics =
        torch::empty({rows.traces, shape.kv_heads, group_, kernels::kStatistics, size.entries()}, buffer);
    layer.cumulative = torch::zeros({rows.traces, shape.kv_heads, group_, size.entries()}, buffer);
    layer.decayed = torch::zeros_like(layer.cumulative);
  }
  if (kernels::has_gpu_kernels(options.device) && size.entries() <= kernels::kMostEntries)
    wrong_ = torch::zeros({}, buffer.dtype(torch::kInt32));
  // The last window of a trace may be filled up with tokens that nothing sees.
  const std::int64_t longest = total_tokens == kEndless ? kEndless : total_tokens + size.window;
  for (const LayerPlace& place : places_) {
    if (place.kind == AttentionKind::kSliding) sliding_.emplace_back(shape, rows.traces, longest, options);
    if (place.kind == AttentionKind::kRecurrent)
      recurrent_.emplace_back(shape.recurrent, rows.traces, options.device);
  }
}

std::int64_t EvictingCache::room() const {
  const Layer& layer = layers_.back();
  if (layer.seen < budget_) return budget_ - layer.seen;  // the first `budget` tokens count as one window
  return budget_ + window_ - layer.live;
}

torch::Tensor EvictingCache::attend(std::int64_t number, const torch::Tensor& query, const torch::Tensor& key,
                                    const torch::Tensor& value, const torch::Tensor& sinks) {
  const LayerPlace& place = places_.at(static_cast<std::size_t>(number));
  if (!place.evicts()) return sliding_[place.index].attend(query, key, value, {}, sinks);
  Layer& layer = layers_[place.index];
  const std::int64_t rows = query.size(0), heads = key.size(1), tokens = query.size(2), d = query.size(3);
  const std::int64_t end = layer.seen < budget_ ? budget_ : budget_ + window_;
  if (layer.live + tokens > end) {
    throw Error(ErrorKind::kInternal,
                concat("a forward pass of ", tokens, " tokens crosses the end of a window (", layer.live,
                       " entries live, window ends at ", end, ")"));
  }
  append(layer, key, value);
  layer.live += tokens;
  layer.seen += tokens;
  const torch::Tensor grouped = query.view({rows, heads, group_, tokens, d});
  torch::Tensor output = attend_live(layer, grouped, sinks);
  keep_queries(layer, grouped);
  if (layer.live == end) close_window(place.index, sinks);
  return output;
}

torch::Tensor EvictingCache::attend_live(Layer& layer, const torch::Tensor& query,
                                         const torch::Tensor& sinks) const {
  const bool is_first_window = layer.seen <= budget_;
  const std::int64_t before = is_first_window ? 0 : budget_, tokens = query.size(3);
  const kernels::WindowInput input{.query = query,
                                   .keys = layer.keys,
                                   .values = layer.values,
                                   .live = layer.live,
                                   .first = layer.live - before - tokens,
                                   .window = is_first_window ? budget_ : window_,
                                   .sinks = sinks};
  if (rule_.score_cap == 0.0 && kernels::suits_window_attention(query.device(), query.size(4)))
    return kernels::window_attention(input, layer.statistics, processor_);
  const torch::Tensor probabilities =
      attention_probabilities(query, layer.keys.narrow(2, 0, layer.live), {}, rule_.with_sinks(sinks));
  kernels::plain::observe(probabilities, input.first, input.window, layer.statistics);
  return attention_output(probabilities, layer.values.narrow(2, 0, layer.live)).flatten(1, 2);
}

RecurrentState& EvictingCache::recurrent_state(std::int64_t number) {
  return recurrent_.at(places_.at(static_cast<std::size_t>(number)).index);
}

void EvictingCache::keep_queries(Layer& layer, const torch::Tensor& query) const {
  const std::int64_t missing = budget_ + window_ - layer.live, tokens = query.size(3);
  const bool is_first_window = layer.seen <= budget_;
  if (is_first_window || layer.seen + missing >= total_tokens_) return;  // no eviction follows the window
  if (tokens == window_) {
    layer.queries = query;
    return;
  }
  if (!layer.queries.defined()) {
    auto size = query.sizes().vec();
    size[3] = window_;
    layer.queries = torch::empty(size, query.options());
  }
  layer.queries.narrow(3, layer.live - budget_ - tokens, tokens).copy_(query);
}

void EvictingCache::close_window(std::size_t index, const torch::Tensor& sinks) {
  Layer& layer = layers_[index];
  const torch::Tensor sum = layer.statistics.select(3, kernels::kSum).narrow(3, 0, layer.live);
  layer.cumulative.narrow(3, 0, layer.live).add_(sum);
  layer.decayed.narrow(3, 0, layer.live).mul_(kDecayPerWindow).add_(sum);
  const bool is_first_window = layer.live == budget_;
  if (!is_first_window && layer.seen < total_tokens_) evict(index, sinks);
}

void EvictingCache::evict(std::size_t index, const torch::Tensor& sinks) {
  Layer& layer = layers_[index];
  if (layer.step == 0) repeat_rows(layer, rows_.copies);
  std::optional<DeviceTimer> timer;
  if (timed_) timer.emplace(layer.keys.device());
  EvictionView view{.layer = static_cast<std::int64_t>(index),
                    .step = layer.step,
                    .budget = budget_,
                    .window = window_,
                    .keys = layer.keys,
                    .values = layer.values,
                    .positions = layer.positions,
                    .window_statistics = layer.statistics,
                    .queries = layer.queries,
                    .rule = rule_.with_sinks(sinks),
                    .frequencies = rotation_.frequencies(static_cast<std::int64_t>(index), layer.seen),
                    .cumulative = layer.cumulative,
                    .decayed = layer.decayed,
                    .prompt_tokens = {},
                    .protected_entries = {}};
  protect(view);
  const torch::Tensor evicted = select_(view);
  check_shape(evicted, {layer.keys.size(0), layer.keys.size(1), window_}, "evicted cache indices");
  compact(layer, evicted);
  layer.queries = torch::Tensor();
  layer.live = budget_;
  ++layer.step;
  if (timer) eviction_time_.seconds += timer->seconds();
  ++eviction_time_.evictions;
}

void EvictingCache::set_prompts(const std::vector<std::int64_t>& prompt_tokens) {
  prompt_tokens_ = prompt_tokens;
  if (prompt_tokens.size() == 1)
    prompt_tokens_.resize(static_cast<std::size_t>(rows_.traces), prompt_tokens[0]);
  if (static_cast<std::int64_t>(prompt_tokens_.size()) == rows_.traces) return;
  throw Error(ErrorKind::kInternal, concat(prompt_tokens.size(), " prompts for ", rows_.traces, " traces"));
}

/// Rows may have been repeated since the last eviction: every row is one of a trace, in turn.
void EvictingCache::protect(EvictionView& view) {
  if (prompt_tokens_.empty() && size_.protect_sinks == 0) return;
  const std::int64_t rows = view.keys.size(0);
  if (!row_prompts_.defined() || row_prompts_.size(0) != rows) {
    std::vector<std::int64_t> prompts, entries;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto trace = static_cast<std::size_t>(rows_.trace_of(row));
      prompts.push_back(prompt_tokens_.empty() ? 0 : prompt_tokens_[trace]);
      entries.push_back(size_.protected_entries(prompts.back()));
    }
    row_prompts_ = torch::tensor(prompts, torch::kInt64);
    if (size_.protect_sinks > 0 || size_.protect_prompt)
      row_protected_ = torch::tensor(entries, torch::kInt64);
  }
  view.prompt_tokens = row_prompts_;
  view.protected_entries = row_protected_;
}

void EvictingCache::append(Layer& layer, const torch::Tensor& key, const torch::Tensor& value) const {
  if (wrong_.defined()) {
    append_on_gpu({layer.keys, layer.values, layer.positions}, layer.live, layer.seen, key, value);
    return;
  }
  const std::int64_t rows = key.size(0), heads = key.size(1), tokens = key.size(2);
  layer.keys.narrow(2, layer.live, tokens).copy_(key);
  layer.values.narrow(2, layer.live, tokens).copy_(value);
  layer.positions.narrow(2, layer.live, tokens)
      .copy_(torch::arange(layer.seen, layer.seen + tokens, layer.positions.options())
                 .expand({rows, heads, tokens}));
}

void EvictingCache::compact(Layer& layer, const torch::Tensor& evicted) const {
  if (wrong_.defined()) {
    compact_on_gpu({layer.keys, layer.values, layer.positions}, {layer.cumulative, layer.decayed}, evicted,
                   budget_, wrong_);
    return;
  }
  const torch::Tensor kept = kept_entries(evicted, budget_);  // [R, K, B]
  for (torch::Tensor* buffer : {&layer.keys, &layer.values}) {
    buffer->narrow(2, 0, budget_).copy_(select_entries(*buffer, kept));
  }
  layer.positions.narrow(2, 0, budget_).copy_(layer.positions.gather(2, kept));
  const torch::Tensor kept_groups = kept.unsqueeze(2).expand({kept.size(0), kept.size(1), group_, budget_});
  for (torch::Tensor* buffer : {&layer.cumulative, &layer.decayed}) {
    buffer->narrow(3, 0, budget_).copy_(buffer->gather(3, kept_groups));
    buffer->narrow(3, budget_, window_).zero_();
  }
}

void EvictingCache::require_sound() const {
  if (!wrong_.defined() || wrong_.item<std::int32_t>() == 0) return;
  throw Error(ErrorKind::kInternal, "a policy evicted an entry twice, or one that was no candidate");
}

void EvictingCache::repeat_rows(Layer& layer, std::int64_t copies) {
  if (copies == 1) return;
  for (torch::Tensor* buffer : {&layer.keys, &layer.values, &layer.positions, &layer.statistics,
                                &layer.cumulative, &layer.decayed, &layer.queries}) {
    if (!buffer->defined()) continue;
    std::vector<std::int64_t> repeats(static_cast<std::size_t>(buffer->dim()), 1);
    repeats[0] = copies;
    *buffer = buffer->repeat(repeats);
  }
}

void EvictingCache::repeat_rows(std::int64_t copies) {
  for (Layer& layer : layers_) repeat_rows(layer, copies);
  for (SlidingLayer& layer : sliding_) layer.repeat_rows(copies);
  for (RecurrentState& state : recurrent_) state.repeat_rows(copies);
}

std::int64_t EvictingCache::bytes() const {
  std::int64_t total = 0;
  for (const Layer& layer : layers_)
    total += static_cast<std::int64_t>(layer.keys.nbytes() + layer.values.nbytes());
  for (const SlidingLayer& layer : sliding_) total += layer.bytes();
  for (const RecurrentState& state : recurrent_) total += state.bytes();
  return total;
}

}  // namespace foresight
