#include "trainer/model/layer_weights.h"

#include <torch/utils.h>

#include <vector>

#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/model/linear_product.h"
#include "trainer/model/mxfp4.h"

namespace foresight {
namespace {

/// A stored tensor, and where it belongs: rows first .. first + rows - 1 of `expert`, or all experts' (-1).
struct Part {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t expert = -1;
  std::int64_t first = 0;
};

/// One gated product of `width`.
DenseWeights take_dense_of(WeightReader& weights, const std::string& prefix, std::int64_t width,
                           const ModelShape& shape, const ModelOptions& options) {
  const std::int64_t hidden = shape.hidden_size;
  const torch::Tensor gate_up = shape.fused_projections
                                    ? weights.take(prefix + "gate_up_proj.weight", {2 * width, hidden})
                                    : torch::cat({weights.take(prefix + "gate_proj.weight", {width, hidden}),
                                                  weights.take(prefix + "up_proj.weight", {width, hidden})});
  return {.gate_up = product_weight(gate_up, options),
          .down = product_weight(weights.take(prefix + "down_proj.weight", {hidden, width}), options),
          .activation = shape.activation};
}

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

/// The experts' products of gpt-oss, [E, rows, columns] in the products' type: of NAME [E, columns, rows], or
/// of NAME_blocks and NAME_scales in MXFP4, whose rows lie as they are multiplied. With `pairs` a stored row
/// of the gate is followed by its row of the second half.
torch::Tensor read_stacked(WeightReader& weights, const std::string& name, torch::IntArrayRef size,
                           bool pairs, const ModelOptions& options) {
  const std::int64_t experts = size[0], rows = size[1], columns = size[2], blocks = columns / kMxfp4Block;
  const std::string packed = name + "_blocks", scales = name + "_scales";
  const bool quantised = weights.contains(packed) || weights.contains(scales);
  bool whole = true;
  if (!quantised) {
    whole = weights.expect(name, {experts, columns, rows});
  } else if (columns % kMxfp4Block != 0) {
    weights.note(concat("'", packed, "': config.json asks for rows of ", columns,
                        " numbers, which blocks of ", kMxfp4Block, " do not make"));
    whole = false;
  } else {
    whole = weights.expect_bytes(packed, {experts, rows, blocks, kMxfp4Block / 2});
    whole = weights.expect_bytes(scales, {experts, rows, blocks}) && whole;
  }
  if (!whole) return torch::zeros({0});
  torch::Tensor held = torch::empty(size, torch::TensorOptions().device(options.device).dtype(options.dtype));
  for (std::int64_t expert = 0; expert < experts; ++expert) {
    heartbeat();
    const torch::Tensor values =
        quantised ? dequantised_mxfp4(weights.stored(packed)[expert], weights.stored(scales)[expert], scales)
                  : weights.stored(name)[expert].t();
    torch::Tensor own = held[expert];  // [rows, columns]
    if (pairs) own = own.view({2, rows / 2, columns}).transpose(0, 1);
    own.copy_(values.view(own.sizes()));
  }
  return held;
}

/// The matrices of stacked experts [E, rows, columns], each laid out for its products.
std::vector<torch::Tensor> by_expert(const torch::Tensor& stacked) {
  std::vector<torch::Tensor> matrices = stacked.unbind();
  for (torch::Tensor& matrix : matrices) matrix = packed_weight(matrix);
  return matrices;
}

/// gpt-oss: experts stacked, with biases, and a router of another name.
ExpertWeights take_biased_experts(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                                  const ModelOptions& options) {
  const std::int64_t count = shape.experts.count, width = shape.experts.intermediate_size;
  const std::int64_t hidden = shape.hidden_size;
  const auto take = [&](const std::string& name, torch::IntArrayRef size) {
    return weights.take(prefix + name, size).to(options.device);
  };
  const torch::Tensor gate_up_bias = take("experts.gate_up_proj_bias", {count, 2 * width});
  return {.router = take("router.weight", {count, hidden}),
          .gate_up = by_expert(read_stacked(weights, prefix + "experts.gate_up_proj",
                                            {count, 2 * width, hidden}, /*pairs=*/true, options)),
          .down = by_expert(read_stacked(weights, prefix + "experts.down_proj", {count, hidden, width},
                                         /*pairs=*/false, options)),
          .chosen = shape.experts.chosen,
          .normalised = shape.experts.normalised,
          .chosen_first = shape.experts.chosen_first,
          .activation = shape.activation,
          .router_bias = take("router.bias", {count}),
          .gate_up_bias = gate_up_bias.numel() == 0  // absent: finish() tells
                              ? gate_up_bias
                              : gate_up_bias.view({count, width, 2}).transpose(1, 2).reshape({count, -1}),
          .down_bias = take("experts.down_proj_bias", {count, hidden})};
}

}  // namespace

torch::Tensor product_weight(const torch::Tensor& values, const ModelOptions& options) {
  return packed_weight(values.to(options.device, options.dtype));
}

DenseWeights take_dense(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                        const ModelOptions& options) {
  return take_dense_of(weights, prefix, shape.intermediate_size, shape, options);
}

ExpertWeights take_experts(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                           const ModelOptions& options) {
  if (shape.experts.biases) return take_biased_experts(weights, prefix, shape, options);
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
  ExpertWeights experts = {
      .router = weights.take(prefix + "gate.weight", {count, hidden}).to(options.device),
      .gate_up = by_expert(read_parts(weights, gate_up, {count, 2 * width, hidden}, options)),
      .down = by_expert(read_parts(weights, down, {count, hidden, width}, options)),
      .chosen = shape.experts.chosen,
      .normalised = shape.experts.normalised,
      .activation = shape.activation};
  if (shape.experts.shared_size > 0) {
    experts.shared =
        take_dense_of(weights, prefix + "shared_expert.", shape.experts.shared_size, shape, options);
    experts.shared_gate = weights.take(prefix + "shared_expert_gate.weight", {1, hidden}).to(options.device);
  }
  return experts;
}

DeltaNetWeights take_delta_net(WeightReader& weights, const std::string& prefix, const ModelShape& shape,
                               const ModelOptions& options) {
  const RecurrentShape& of = shape.recurrent;
  const std::int64_t hidden = shape.hidden_size, group = of.value_heads / of.key_heads;
  const std::int64_t keys = of.key_heads * of.key_dimension, values = of.value_heads * of.value_dimension;
  const auto hold = [&](const std::string& name, torch::IntArrayRef size) {
    return weights.take(prefix + name, size).to(options.device);
  };
  // A stored key head's rows stand together: its query, key, values and gates. Here all queries come first.
  const auto apart = [&](const torch::Tensor& stored, torch::IntArrayRef widths) {
    if (stored.numel() == 0) return stored;  // absent: finish() tells
    std::vector<torch::Tensor> parts;
    for (const torch::Tensor& part : stored.view({of.key_heads, -1, hidden}).split_with_sizes(widths, 1))
      parts.push_back(part.reshape({-1, hidden}));
    return torch::cat(parts);
  };
  const auto take = [&](const std::string& name, std::int64_t rows) {
    return weights.take(prefix + "in_proj_" + name + ".weight", {rows, hidden});
  };
  const std::int64_t value_width = group * of.value_dimension, heads = of.value_heads;
  const bool stored_apart = weights.contains(prefix + "in_proj_qkv.weight");  // Qwen3.5
  const torch::Tensor input = stored_apart
                                  ? torch::cat({take("qkv", of.channels()), take("z", values)})
                                  : apart(take("qkvz", 2 * keys + 2 * values),
                                          {of.key_dimension, of.key_dimension, value_width, value_width});
  const torch::Tensor rates = stored_apart ? torch::cat({take("b", heads), take("a", heads)})
                                           : apart(take("ba", 2 * heads), {group, group});
  return {.input = product_weight(input, options),
          .rates = rates.to(options.device),
          .convolution = hold("conv1d.weight", {of.channels(), 1, of.convolution}),
          .time_bias = hold("dt_bias", {of.value_heads}),
          .decay = hold("A_log", {of.value_heads}).exp().neg(),
          .norm = hold("norm.weight", {of.value_dimension}),
          .output = product_weight(weights.take(prefix + "out_proj.weight", {hidden, values}), options)};
}

}  // namespace foresight
