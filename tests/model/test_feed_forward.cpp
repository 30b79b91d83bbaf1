// Mixtures of experts beside a loop over tokens, and folders whose experts do not fit.
#include "trainer/model/feed_forward.h"

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/safetensors.h"
#include "tests/base/temporary_folder.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

ExpertWeights random_experts(std::int64_t count, std::int64_t chosen, bool normalised) {
  return {.router = torch::randn({count, 12}),
          .gate_up = 0.3 * torch::randn({count, 20, 12}),
          .down = 0.3 * torch::randn({count, 12, 10}),
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
      const std::int64_t expert = order[place].item<std::int64_t>();
      const double probability = probabilities[expert].item<double>();
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

/// A copy of the tiny Qwen3-MoE whose stacked tensors are changed.
std::string fault_of(const std::function<void(std::map<std::string, torch::Tensor>&)>& change) {
  const TemporaryFolder folder;
  const auto source = reference_folder() / "families/qwen3_moe_stacked";
  std::filesystem::copy_file(source / "config.json", folder.path() / "config.json");
  const SafetensorsFile file(source / "model.safetensors");
  std::map<std::string, torch::Tensor> tensors;
  for (const auto& [name, view] : file.tensors()) tensors[name] = view_tensor(view).clone();
  change(tensors);
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  write_safetensors(folder.path() / "model.safetensors", list, {{"format", "pt"}});
  try {
    Transformer::load(folder.path(), {});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

/// Layer 0's stacked experts one by one, as most files have them.
void unstack(std::map<std::string, torch::Tensor>& tensors) {
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

TEST_CASE("experts: bfloat16 products stay near those in float32, and choose the same experts", "[model]") {
  torch::manual_seed(4);
  ExpertWeights weights = random_experts(7, 2, true);
  const torch::Tensor input = torch::randn({40, 12}).to(torch::kBFloat16);
  const torch::Tensor exact = one_by_one(input, weights);
  weights.gate_up = weights.gate_up.to(torch::kBFloat16);
  weights.down = weights.down.to(torch::kBFloat16);
  CHECK(torch::allclose(expert_feed_forward(input, weights).to(torch::kFloat32), exact, 0.05, 0.03));
}

TEST_CASE("experts: files whose experts do not fit are refused by name", "[model]") {
  using Tensors = std::map<std::string, torch::Tensor>;
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
