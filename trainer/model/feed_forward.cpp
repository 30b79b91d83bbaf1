#include "trainer/model/feed_forward.h"

#include "trainer/model/linear_product.h"
#include "trainer/model/row_functions.h"

namespace foresight {

namespace {

torch::Tensor gated(const torch::Tensor& gate_up, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      break;
    case Activation::kGeluTanh:
      return gated_gelu(gate_up);
    case Activation::kClampedSilu:
      return gated_clamped(gate_up);
  }
  return gated_silu(gate_up);
}

/// One of a mixture's experts.
DenseWeights expert_of(const ExpertWeights& weights, std::int64_t expert) {
  const auto index = static_cast<std::size_t>(expert);
  const auto own = [&](const torch::Tensor& all) { return all.defined() ? all[expert] : torch::Tensor(); };
  return {.gate_up = weights.gate_up[index],
          .down = weights.down[index],
          .activation = weights.activation,
          .gate_up_bias = own(weights.gate_up_bias),
          .down_bias = own(weights.down_bias)};
}

}  // namespace

torch::Tensor dense_feed_forward(const torch::Tensor& input, const DenseWeights& weights) {
  const torch::Tensor gate_up = linear_product(input, weights.gate_up, weights.gate_up_bias);
  return linear_product(gated(gate_up, weights.activation), weights.down, weights.down_bias);
}

Routing route(const torch::Tensor& input, const ExpertWeights& weights) {
  const torch::Tensor scores =
      linear_product(input.to(torch::kFloat32), weights.router, weights.router_bias);  // [N, E]
  if (weights.chosen_first) {
    const auto [best, chosen] = torch::topk(scores, weights.chosen, -1);
    return {.experts = chosen, .weights = torch::softmax(best, -1)};
  }
  auto [largest, experts] = torch::topk(torch::softmax(scores, -1), weights.chosen, -1);
  if (weights.normalised) largest = largest / largest.sum(-1, /*keepdim=*/true);
  return {.experts = experts, .weights = largest};
}

torch::Tensor expert_feed_forward(const torch::Tensor& input, const ExpertWeights& weights) {
  const torch::Tensor rows = input.reshape({-1, input.size(-1)});  // [N, hidden]
  const Routing routing = route(rows, weights);
  const torch::Tensor flat = routing.experts.flatten();  // [N chosen]
  const torch::Tensor order = flat.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const torch::Tensor sorted =
      rows.index_select(0, order.div(weights.chosen, "floor"));  // [N chosen, hidden], by expert
  const torch::Tensor counts = flat.bincount({}, weights.router.size(0)).to(torch::kCPU);
  torch::Tensor products = torch::empty(sorted.sizes(), sorted.options().dtype(torch::kFloat32));
  std::int64_t first = 0;
  for (std::int64_t expert = 0; expert < counts.size(0); ++expert) {
    const std::int64_t count = counts[expert].item<std::int64_t>();
    if (count == 0) continue;
    products.narrow(0, first, count)
        .copy_(dense_feed_forward(sorted.narrow(0, first, count), expert_of(weights, expert)));
    first += count;
  }
  const torch::Tensor by_token =
      products.index_select(0, order.argsort()).view({rows.size(0), weights.chosen, -1});
  torch::Tensor sum = (by_token * routing.weights.unsqueeze(-1)).sum(1);
  if (weights.shared) {
    const torch::Tensor share = torch::sigmoid(linear_product(rows.to(torch::kFloat32), weights.shared_gate));
    sum = sum + dense_feed_forward(rows, *weights.shared) * share;
  }
  return sum.view(input.sizes());
}

torch::Tensor feed_forward(const torch::Tensor& input, const FeedForwardWeights& weights) {
  const auto* experts = std::get_if<ExpertWeights>(&weights);
  return experts != nullptr ? expert_feed_forward(input, *experts)
                            : dense_feed_forward(input, std::get<DenseWeights>(weights));
}

}  // namespace foresight
