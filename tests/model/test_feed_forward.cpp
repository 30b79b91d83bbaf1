// Mixtures of experts beside a loop over tokens, and folders whose experts do not fit.
#include "trainer/model/feed_forward.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/model/changed_model.h"
#include "trainer/model/linear_product.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

ExpertWeights random_experts(std::int64_t count, std::int64_t chosen, bool normalised) {
  return {.router = torch::randn({count, 12}),
          .gate_up = (0.3 * torch::randn({count, 20, 12})).unbind(),
          .down = (0.3 * torch::randn({count, 12, 10})).unbind(),
          .chosen = chosen,
          .normalised = normalised};
}

/// The definition, for one token after the other and one expert after the other, in double precision.
torch::Tensor one_by_one(const torch::Tensor& rows, const ExpertWeights& weights) {
  std::vector<torch::Tensor> outputs;
  for (std::int64_t row = 0; row < rows.size(0); ++row) {
    const torch::Tensor x = rows[row].to(torch::kFloat64);
    const torch::Tensor probabilities = torch::softmax(torch::mv(weights.router.to(torch::kFloat64), x), 0);
    const torch::Tensor order = probabilities.argsort(0, /*descending=*/true);
    torch::Tensor sum = torch::zeros_like(x);
    double total = 0;
    for (std::int64_t place = 0; place < weights.chosen; ++place) {
      const std::int64_t chosen = order[place].item<std::int64_t>();
      const double probability = probabilities[chosen].item<double>();
      const auto expert = static_cast<std::size_t>(chosen);
      const torch::Tensor both = torch::mv(weights.gate_up[expert].to(torch::kFloat64), x);
      const torch::Tensor gate = both.narrow(0, 0, 10), up = both.narrow(0, 10, 10);
      sum += probability *
             torch::mv(weights.down[expert].to(torch::kFloat64), gate / (1 + torch::exp(-gate)) * up);
      total += probability;
    }
    outputs.push_back(weights.normalised ? sum / total : sum);
  }
  return torch::stack(outputs).to(torch::kFloat32);
}

std::string fault_of(const std::function<void(NamedTensors&)>& change) {
  return fault_of_changed("qwen3_moe_stacked", change);
}

/// Layer 0's stacked experts one by one, as most files have them.
void unstack(NamedTensors& tensors) {
  const std::string prefix = "model.layers.0.mlp.experts.";
  const torch::Tensor gate_up = tensors.at(prefix + "gate_up_proj"), down = tensors.at(prefix + "down_proj");
  tensors.erase(prefix + "gate_up_proj");
  tensors.erase(prefix + "down_proj");
  for (std::int64_t expert = 0; expert < gate_up.size(0); ++expert) {
    const std::string own = prefix + std::to_string(expert);
    const std::int64_t width = gate_up.size(1) / 2;
    tensors[own + ".gate_proj.weight"] = gate_up[expert].narrow(0, 0, width).clone();
    tensors[own + ".up_proj.weight"] = gate_up[expert].narrow(0, width, width).clone();
    tensors[own + ".down_proj.weight"] = down[expert].clone();
  }
}

}  // namespace

TEST_CASE("experts: products grouped by expert give what a loop over tokens gives", "[model]") {
  torch::manual_seed(3);
  for (const bool normalised : {false, true}) {
    for (const std::int64_t chosen : {1, 3, 7}) {
      const ExpertWeights weights = random_experts(7, chosen, normalised);
      for (const std::int64_t tokens : {1, 5, 64}) {  // one token leaves most experts without any
        const torch::Tensor input = torch::randn({2, tokens, 12});
        const torch::Tensor output = expert_feed_forward(input, weights);
        REQUIRE(output.sizes() == input.sizes());
        CHECK(torch::allclose(output.flatten(0, 1), one_by_one(input.flatten(0, 1), weights), 1e-5, 1e-5));
      }
    }
  }
}

TEST_CASE("experts: with biases, a clamped gate and a softmax over the chosen ones, as a loop over tokens",
          "[model]") {
  torch::manual_seed(5);
  ExpertWeights weights = random_experts(7, 3, false);
  for (torch::Tensor& matrix : weights.gate_up) matrix = matrix * 8;  // so that the limits are reached
  weights.chosen_first = true;
  weights.activation = Activation::kClampedSilu;
  weights.router_bias = torch::randn({7});
  weights.gate_up_bias = torch::randn({7, 20});
  weights.down_bias = torch::randn({7, 12});
  const torch::Tensor input = torch::randn({30, 12}), found = expert_feed_forward(input, weights);
  double largest = 0;
  for (std::int64_t row = 0; row < input.size(0); ++row) {
    const torch::Tensor x = input[row].to(torch::kFloat64);
    const auto product = [&](const torch::Tensor& matrix, const torch::Tensor& bias,
                             const torch::Tensor& of) {
      return torch::mv(matrix.to(torch::kFloat64), of) + bias.to(torch::kFloat64);
    };
    const torch::Tensor scores = product(weights.router, weights.router_bias, x);
    const torch::Tensor order = scores.argsort(0, /*descending=*/true);
    torch::Tensor sum = torch::zeros_like(x);
    double total = 0;
    for (std::int64_t place = 0; place < 3; ++place) {
      const std::int64_t expert = order[place].item<std::int64_t>();
      const auto index = static_cast<std::size_t>(expert);
      const torch::Tensor both = product(weights.gate_up[index], weights.gate_up_bias[expert], x);
      largest = std::max(largest, both.abs().max().item<double>());
      const torch::Tensor gate = torch::minimum(both.narrow(0, 0, 10), torch::full({10}, 7.0));
      const torch::Tensor up = both.narrow(0, 10, 10).clamp(-7, 7);
      const torch::Tensor inner = (up + 1) * gate / (1 + torch::exp(-1.702 * gate));
      const double weight = std::exp(scores[expert].item<double>());
      sum += weight * product(weights.down[index], weights.down_bias[expert], inner);
      total += weight;
    }
    CHECK(torch::allclose(found[row].to(torch::kFloat64), sum / total, 1e-5, 1e-5));
  }
  CHECK(largest > 7);
}

TEST_CASE("experts: bfloat16 products stay near those in float32, and choose the same experts", "[model]") {
  torch::manual_seed(4);
  ExpertWeights weights = random_experts(7, 2, true);
  const torch::Tensor input = torch::randn({40, 12}).to(torch::kBFloat16);
  const torch::Tensor exact = one_by_one(input, weights);
  for (auto* matrices : {&weights.gate_up, &weights.down}) {
    for (torch::Tensor& matrix : *matrices) matrix = matrix.to(torch::kBFloat16);
  }
  const torch::Tensor found = expert_feed_forward(input, weights).to(torch::kFloat32);
  CHECK(torch::allclose(found, exact, 0.05, 0.03));
  for (auto* matrices : {&weights.gate_up, &weights.down}) {
    for (torch::Tensor& matrix : *matrices) matrix = packed_weight(matrix);
  }
  CHECK(torch::allclose(expert_feed_forward(input, weights).to(torch::kFloat32), found, 0.01, 0.01));
}

TEST_CASE("experts: files whose experts do not fit are refused by name", "[model]") {
  using Tensors = NamedTensors;
  CHECK(fault_of(unstack).empty());
  CHECK_THAT(fault_of([](Tensors& tensors) {
               unstack(tensors);
               tensors.erase("model.layers.0.mlp.experts.4.up_proj.weight");
             }),
             Contains("(1 faults): 'model.layers.0.mlp.experts.4.up_proj.weight' is missing"));
  CHECK_THAT(fault_of([](Tensors& tensors) {
               unstack(tensors);
               tensors["model.layers.0.mlp.experts.6.up_proj.weight"] = torch::zeros({12, 32});
             }),
             Contains("'model.layers.0.mlp.experts.6.up_proj.weight' is not part of the architecture"));
  CHECK_THAT(fault_of([](Tensors& tensors) {
               tensors["model.layers.1.mlp.gate.weight"] = torch::zeros({7, 32});
             }),
             Contains("'model.layers.1.mlp.gate.weight' has shape [7, 32], config.json asks for [6, 32]"));
  CHECK_THAT(fault_of([](Tensors& tensors) {
               torch::Tensor& down = tensors["model.layers.1.mlp.experts.down_proj"];
               down = down.narrow(0, 0, 5).clone();
             }),
             Contains("'model.layers.1.mlp.experts.down_proj' has shape [5, 32, 12]"));
  CHECK_THAT(fault_of([](Tensors& tensors) {
               torch::Tensor& down = tensors["model.layers.1.mlp.experts.down_proj"];
               down = down.to(torch::kInt32);
             }),
             Contains("is I32, expected floating point"));
}
