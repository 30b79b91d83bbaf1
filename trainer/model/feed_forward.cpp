#include "trainer/model/feed_forward.h"

#include "trainer/model/linear_product.h"
#include "trainer/model/row_functions.h"

namespace foresight {

torch::Tensor dense_feed_forward(const torch::Tensor& input, const DenseWeights& weights) {
  const torch::Tensor gate_up = linear_product(input, weights.gate_up);
  return linear_product(
      weights.activation == Activation::kGeluTanh ? gated_gelu(gate_up) : gated_silu(gate_up), weights.down);
}

Routing route(const torch::Tensor& input, const ExpertWeights& weights) {
  const torch::Tensor probabilities =
      torch::softmax(linear_product(input.to(torch::kFloat32), weights.router), -1);  // [N, E]
  auto [largest, experts] = torch::topk(probabilities, weights.chosen, -1);
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
        .copy_(dense_feed_forward(sorted.narrow(0, first, count),
                                  {.gate_up = weights.gate_up[expert], .down = weights.down[expert]}));
    first += count;
  }
  const torch::Tensor by_token =
      products.index_select(0, order.argsort()).view({rows.size(0), weights.chosen, -1});
  return (by_token * routing.weights.unsqueeze(-1)).sum(1).view(input.sizes());
}

torch::Tensor feed_forward(const torch::Tensor& input, const FeedForwardWeights& weights) {
  const auto* experts = std::get_if<ExpertWeights>(&weights);
  return experts != nullptr ? expert_feed_forward(input, *experts)
                            : dense_feed_forward(input, std::get<DenseWeights>(weights));
}

}  // namespace foresight
