#include "golden_eviction/recorded_plan.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "golden_eviction/future_attention.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

namespace {

/// The recorded attention of one layer, read part by part.
HeadAttention attention_of_layer(const OracleReader& reader, std::int64_t layer, const CacheSize& size) {
  const auto opened = std::make_shared<const OracleLayer>(reader.open_layer(layer));
  return [opened, dimensions = reader.dimensions(), window = size.window](
             std::int64_t head, std::int64_t first, std::int64_t count) {
    const BlockRange blocks = blocks_of_windows(dimensions, window, first, count);
    std::vector<std::uint16_t> bits = opened->read_rows(head, blocks.first, blocks.count);
    const torch::Tensor packed =
        torch::from_blob(bits.data(), {1, static_cast<std::int64_t>(bits.size())}, torch::kFloat16);
    return unpack_windows(packed, dimensions, window, first, count)[0];
  };
}

}  // namespace

GoldenPlan golden_plan_of(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                          std::int64_t prompt_tokens) {
  return golden_plan(reader.dimensions().kv_heads, reader.dimensions().tokens, size, prompt_tokens,
                     attention_of_layer(reader, layer, size));
}

torch::Tensor recorded_contribution(const OracleReader& reader, std::int64_t layer, const CacheSize& size,
                                    const std::vector<std::int64_t>& steps) {
  return long_term_contribution(reader.dimensions().kv_heads, reader.dimensions().tokens, size, steps,
                                attention_of_layer(reader, layer, size));
}

torch::Tensor oracle_scores(const torch::Tensor& contribution, const torch::Tensor& positions) {
  check_shape(contribution, {positions.size(0), -1}, "contribution");
  return contribution.gather(1, positions).neg_();
}

namespace {

/// Tokens of a trace's prompt, if they are protected.
std::int64_t protected_prompt(const RecordedTrace& trace, const CacheSize& size) {
  return size.protect_prompt ? trace.prompt_tokens() : 0;
}

/// Positions of a trace in the smallest type that holds them.
torch::Tensor stored_positions(const torch::Tensor& positions, const RecordedTrace& trace) {
  const bool fits = trace.dimensions.tokens - 1 <= std::numeric_limits<std::int16_t>::max();
  return positions.to(fits ? torch::kInt16 : torch::kInt32);
}

/// RecordedCut::nearest_kept of a plan whose first `protected_entries` positions are never evicted.
torch::Tensor nearest_kept(const GoldenPlan& plan, std::int64_t protected_entries, std::int64_t window,
                           std::int64_t count) {
  const torch::Tensor closed = plan.candidates < protected_entries;  // [K, S, B]
  const torch::Tensor order =
      std::get<1>(torch::sort(plan.contribution.masked_fill(closed, std::numeric_limits<float>::infinity()),
                              /*stable=*/true, /*dim=*/2, /*descending=*/false));
  const torch::Tensor next = order.narrow(2, window, count);
  return plan.candidates.gather(2, next).masked_fill(closed.gather(2, next), -1);
}

}  // namespace

RecordedEvictions golden_evictions(const RecordedTrace& trace, const CacheSize& size) {
  const OracleReader reader(trace.file);
  const OracleDimensions& dimensions = reader.dimensions();
  RecordedEvictions evictions;
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    const torch::Tensor evicted =
        golden_evicted(dimensions.kv_heads, dimensions.tokens, size, protected_prompt(trace, size),
                       attention_of_layer(reader, layer, size));
    evictions.push_back(stored_positions(evicted, trace));
  }
  return evictions;
}

std::vector<RecordedCut> golden_cuts(const RecordedTrace& trace, const CacheSize& size, std::int64_t count) {
  const OracleReader reader(trace.file);
  const std::int64_t prompt = protected_prompt(trace, size), closed = size.protected_entries(prompt);
  const std::int64_t kept = std::min(count, size.budget - size.window);
  std::vector<RecordedCut> cuts;
  for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) {
    const GoldenPlan plan = golden_plan_of(reader, layer, size, prompt);
    cuts.push_back({.evicted = stored_positions(plan.evicted, trace),
                    .nearest_kept = stored_positions(nearest_kept(plan, closed, size.window, kept), trace)});
  }
  return cuts;
}

std::vector<RecordedEvictions> golden_evictions(const std::vector<const RecordedTrace*>& traces,
                                                const CacheSize& size) {
  std::vector<RecordedEvictions> evictions;
  for (const RecordedTrace* trace : traces) evictions.push_back(golden_evictions(*trace, size));
  return evictions;
}

EvictionSelector golden_selector(std::vector<RecordedEvictions> evictions) {
  const auto shared = std::make_shared<const std::vector<RecordedEvictions>>(std::move(evictions));
  return [shared](const EvictionView& view) {
    const auto traces = static_cast<std::int64_t>(shared->size());
    // Positions ascend within a head, so the index of a position is a binary search.
    const torch::Tensor positions = view.positions.narrow(2, 0, view.budget).contiguous();
    std::vector<torch::Tensor> wanted;  // per row [K, W] original positions
    for (std::int64_t row = 0; row < view.keys.size(0); ++row) {
      const RecordedEvictions& trace = (*shared)[static_cast<std::size_t>(row % traces)];
      wanted.push_back(trace[static_cast<std::size_t>(view.layer)].select(1, view.step));
    }
    return torch::searchsorted(positions, torch::stack(wanted).to(positions.options()).contiguous());
  };
}

}  // namespace foresight
