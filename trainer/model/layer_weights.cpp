#include "trainer/model/layer_weights.h"

#include <torch/utils.h>

#include <vector>

#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// A stored tensor, and where it belongs: rows first .. first + rows - 1 of `expert`, or all experts' (-1).
struct Part {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t expert = -1;
  std::int64_t first = 0;
};

/// [E, rows, columns] in the products' type, once every part is known to be there: a damaged config.json may
/// ask for any number of bytes.
torch::Tensor read_parts(WeightReader& weights, const std::vector<Part>& parts, torch::IntArrayRef size,
                         const ModelOptions& options) {
  bool whole = true;
  for (const Part& part : parts) whole = weights.expect(part.name, part.shape) && whole;
  if (!whole) return torch::zeros({0});
  const torch::Tensor held =
      torch::empty(size, torch::TensorOptions().device(options.device).dtype(options.dtype));
  for (const Part& part : parts) {
    heartbeat();
    weights.read_into(part.name,
                      part.expert < 0 ? held : held[part.expert].narrow(0, part.first, part.shape.front()));
  }
  return held;
}

}  // namespace

DenseWeights take_dense(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                        const ModelOptions& options) {
  const std::int64_t width = shape.intermediate_size, hidden = shape.hidden_size;
  const auto hold = [&](const torch::Tensor& tensor) { return tensor.to(options.device, options.dtype); };
  const torch::Tensor gate_up = shape.fused_projections
                                    ? weights.take(prefix + "gate_up_proj.weight", {2 * width, hidden})
                                    : torch::cat({weights.take(prefix + "gate_proj.weight", {width, hidden}),
                                                  weights.take(prefix + "up_proj.weight", {width, hidden})});
  return {.gate_up = hold(gate_up),
          .down = hold(weights.take(prefix + "down_proj.weight", {hidden, width})),
          .activation = shape.activation};
}

ExpertWeights take_experts(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                           const ModelOptions& options) {
  const std::int64_t count = shape.experts.count, width = shape.experts.intermediate_size;
  const std::int64_t hidden = shape.hidden_size;
  const std::string stacked_gate_up = prefix + "experts.gate_up_proj";
  const std::string stacked_down = prefix + "experts.down_proj";
  std::vector<Part> gate_up, down;
  if (weights.contains(stacked_gate_up) || weights.contains(stacked_down)) {
    gate_up.push_back({stacked_gate_up, {count, 2 * width, hidden}});
    down.push_back({stacked_down, {count, hidden, width}});
  } else {
    for (std::int64_t expert = 0; expert < count; ++expert) {
      const std::string own = concat(prefix, "experts.", expert, ".");
      gate_up.push_back({own + "gate_proj.weight", {width, hidden}, expert, 0});
      gate_up.push_back({own + "up_proj.weight", {width, hidden}, expert, width});
      down.push_back({own + "down_proj.weight", {hidden, width}, expert, 0});
    }
  }
  return {.router = weights.take(prefix + "gate.weight", {count, hidden}).to(options.device),
          .gate_up = read_parts(weights, gate_up, {count, 2 * width, hidden}, options),
          .down = read_parts(weights, down, {count, hidden, width}, options),
          .chosen = shape.experts.chosen,
          .normalised = shape.experts.normalised};
}

}  // namespace foresight
