#include "trainer/model/delta_net.h"

#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "trainer/model/linear_product.h"
#include "trainer/model/row_functions.h"

namespace foresight {
namespace {

constexpr std::int64_t kChunk = 64;  // tokens
constexpr double kUnitEpsilon = 1e-6;

/// Vectors of length one, but for an epsilon beneath the root.
torch::Tensor unit(const torch::Tensor& vectors) {
  return vectors * (vectors.square().sum(-1, /*keepdim=*/true) + kUnitEpsilon).rsqrt();
}

/// A causal convolution of each channel over [R, channels, T], with what `state` holds in front; silu of it.
torch::Tensor convolved(const torch::Tensor& channels, const torch::Tensor& weight, RecurrentState& state) {
  const torch::Tensor extended = torch::cat({state.inputs, channels}, 2);
  const std::int64_t held = state.inputs.size(2);
  state.inputs = extended.narrow(2, extended.size(2) - held, held).clone();
  constexpr std::array<std::int64_t, 1> kOne = {1}, kNone = {0};
  return torch::silu(torch::conv1d(extended, weight, /*bias=*/{}, /*stride=*/kOne, /*padding=*/kNone,
                                   /*dilation=*/kOne, /*groups=*/channels.size(1)));
}

/// One chunk of delta_rule_by_chunk(), of C tokens. With G the sum of `kept` up to a token, and M the memory
/// before the chunk, token i writes d_i = rate_i (v_i - e^G_i M^T k_i - sum over j < i of e^(G_i - G_j) (k_j
/// k_i) d_j).
torch::Tensor chunk_output(const DeltaSteps& steps, torch::Tensor& memory) {
  const std::int64_t tokens = steps.key.size(2);
  const torch::Tensor sums = steps.kept.cumsum(-1);  // [R, H, C]
  const torch::Tensor between =
      (sums.unsqueeze(-1) - sums.unsqueeze(-2)).tril().exp().tril();                      // [R, H, C, C]
  const torch::Tensor rate = steps.rate.unsqueeze(-1), grown = sums.exp().unsqueeze(-1);  // [R, H, C, 1]
  const torch::Tensor overlap = torch::matmul(steps.key, steps.key.transpose(2, 3)) * between * rate;
  const torch::Tensor system = overlap.tril(-1) + torch::eye(tokens, overlap.options());
  const torch::Tensor target = (steps.value - grown * torch::matmul(steps.key, memory)) * rate;
  const torch::Tensor written = at::linalg_solve_triangular(system, target, /*upper=*/false, /*left=*/true,
                                                            /*unitriangular=*/true);  // [R, H, C, dv]
  const torch::Tensor seen = torch::matmul(steps.query, steps.key.transpose(2, 3)) * between;
  torch::Tensor output = grown * torch::matmul(steps.query, memory) + torch::matmul(seen, written);
  const torch::Tensor last = sums.narrow(2, tokens - 1, 1);
  memory = memory * last.exp().unsqueeze(-1) +
           torch::matmul((steps.key * (last - sums).exp().unsqueeze(-1)).transpose(2, 3), written);
  return output;
}

}  // namespace

torch::Tensor delta_rule_by_token(const DeltaSteps& steps, torch::Tensor& memory) {
  torch::Tensor output = torch::empty_like(steps.value);
  for (std::int64_t token = 0; token < steps.key.size(2); ++token) {
    const torch::Tensor key = steps.key.narrow(2, token, 1);  // [R, H, 1, dk]
    memory = memory * steps.kept.narrow(2, token, 1).exp().unsqueeze(-1);
    const torch::Tensor difference = steps.value.narrow(2, token, 1) - torch::matmul(key, memory);
    const torch::Tensor written = difference * steps.rate.narrow(2, token, 1).unsqueeze(-1);
    memory = memory + key.transpose(2, 3) * written;
    output.narrow(2, token, 1).copy_(torch::matmul(steps.query.narrow(2, token, 1), memory));
  }
  return output;
}

torch::Tensor delta_rule_by_chunk(const DeltaSteps& steps, torch::Tensor& memory) {
  const std::int64_t tokens = steps.key.size(2);
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0; first < tokens; first += kChunk) {
    const auto part = [&](const torch::Tensor& all) {
      return all.narrow(2, first, std::min(kChunk, tokens - first));
    };
    outputs.push_back(chunk_output(
        {part(steps.query), part(steps.key), part(steps.value), part(steps.kept), part(steps.rate)}, memory));
  }
  return outputs.size() == 1 ? outputs.front() : torch::cat(outputs, 2);
}

torch::Tensor delta_net(const torch::Tensor& hidden, const DeltaNetWeights& weights, const ModelShape& shape,
                        RecurrentState& state) {
  const RecurrentShape& of = shape.recurrent;
  const std::int64_t rows = hidden.size(0), tokens = hidden.size(1);
  state.begin(rows, tokens);
  torch::Tensor joined = linear_product(hidden, weights.input).to(torch::kFloat32);
  const torch::Tensor rates = linear_product(hidden.to(torch::kFloat32), weights.rates);
  // Padding writes nothing: its keys and values are 0.
  if (const torch::Tensor padded = state.padded_tokens(); padded.defined())
    joined = joined.masked_fill(padded, 0.0);
  const torch::Tensor mixed =
      convolved(joined.narrow(2, 0, of.channels()).transpose(1, 2), weights.convolution, state);
  const auto heads = [&](std::int64_t first, std::int64_t count, std::int64_t d) {
    return mixed.narrow(1, first, count * d).view({rows, count, d, tokens}).transpose(2, 3);
  };
  const std::int64_t keys = of.key_heads * of.key_dimension, group = of.value_heads / of.key_heads;
  const auto for_values = [&](const torch::Tensor& by_head) {
    return group == 1 ? by_head : by_head.repeat_interleave(group, 1);
  };
  const auto rate_of = [&](std::int64_t which) {
    return rates.narrow(2, which * of.value_heads, of.value_heads).transpose(1, 2);  // [R, H, T]
  };
  const double scale = 1.0 / std::sqrt(static_cast<double>(of.key_dimension));
  const DeltaSteps steps{
      .query = for_values(unit(heads(0, of.key_heads, of.key_dimension)) * scale),
      .key = for_values(unit(heads(keys, of.key_heads, of.key_dimension))),
      .value = heads(2 * keys, of.value_heads, of.value_dimension),
      .kept = weights.decay.unsqueeze(1) * torch::softplus(rate_of(1) + weights.time_bias.unsqueeze(1)),
      .rate = torch::sigmoid(rate_of(0))};
  const torch::Tensor output =
      tokens == 1 ? delta_rule_by_token(steps, state.memory) : delta_rule_by_chunk(steps, state.memory);
  const std::int64_t width = of.value_heads * of.value_dimension;
  const torch::Tensor gate = joined.narrow(2, of.channels(), width);
  const torch::Tensor normed = rms_norm(output.transpose(1, 2).contiguous(), weights.norm, shape.norm_epsilon)
                                   .view({rows, tokens, width});
  return linear_product(normed * torch::silu(gate), weights.output);
}

}  // namespace foresight
