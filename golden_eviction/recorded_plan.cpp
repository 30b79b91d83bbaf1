#include "golden_eviction/recorded_plan.h"

#include <memory>

#include "data/oracle_file.h"
#include "golden_eviction/future_attention.h"

namespace foresight {

std::vector<torch::Tensor> recorded_attention(const RecordedTrace& trace, std::int64_t window) {
  const OracleReader reader(trace.file);
  const OracleDimensions& dimensions = trace.dimensions;
  std::vector<torch::Tensor> layers;
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    std::vector<std::uint16_t> bits = reader.read_layer(layer);
    const torch::Tensor packed =
        torch::from_blob(bits.data(), {dimensions.kv_heads, dimensions.packed_elements()}, torch::kFloat16);
    layers.push_back(merge_blocks(unpack_attention(packed, dimensions), dimensions.block_tokens, window));
  }
  return layers;
}

GoldenPlan golden_plan_of(const RecordedTrace& trace, std::int64_t layer, const CacheSize& size) {
  return golden_plan(recorded_attention(trace, size.window).at(static_cast<std::size_t>(layer)), size);
}

RecordedEvictions golden_evictions(const RecordedTrace& trace, const CacheSize& size) {
  RecordedEvictions evictions;
  for (const torch::Tensor& attention : recorded_attention(trace, size.window))
    evictions.layers.push_back(golden_plan(attention, size).evicted);
  return evictions;
}

EvictionSelector golden_selector(std::vector<RecordedEvictions> plans) {
  const auto shared = std::make_shared<const std::vector<RecordedEvictions>>(std::move(plans));
  return [shared](const EvictionView& view) {
    const auto traces = static_cast<std::int64_t>(shared->size());
    std::vector<torch::Tensor> wanted;  // per row [K, W] original positions
    for (std::int64_t row = 0; row < view.keys.size(0); ++row) {
      const RecordedEvictions& plan = (*shared)[static_cast<std::size_t>(row % traces)];
      wanted.push_back(plan.layers[static_cast<std::size_t>(view.layer)].select(1, view.step));
    }
    // Positions ascend within a head, so the index of a position is a binary search.
    const torch::Tensor positions = view.positions.narrow(2, 0, view.budget).contiguous();
    return torch::searchsorted(positions, torch::stack(wanted).to(positions.device()).contiguous());
  };
}

}  // namespace foresight
