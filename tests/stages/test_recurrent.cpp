// The whole pipeline on a model one of whose layers is recurrent and does not evict.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "data/safetensors.h"
#include "tests/stages/change_model_config.h"
#include "tests/stages/change_model_tensors.h"
#include "tests/stages/layer_one_evicts.h"
#include "tests/stages/tiny.h"
#include "trainer/app/stage_memory.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Makes a Qwen3-Next of the tiny Llama: layer 0 is recurrent and dense, layer 1 has gated attention and a
/// mixture of 4 experts beside a shared one.
void make_recurrent(const std::filesystem::path& folder) {
  torch::manual_seed(9);
  const nlohmann::json changes = {{"architectures", {"Qwen3NextForCausalLM"}},
                                  {"model_type", "qwen3_next"},
                                  {"layer_types", {"linear_attention", "full_attention"}},
                                  {"linear_num_key_heads", 2},
                                  {"linear_num_value_heads", 4},
                                  {"linear_key_head_dim", 8},
                                  {"linear_value_head_dim", 8},
                                  {"linear_conv_kernel_dim", 4},
                                  {"mlp_only_layers", {0}},
                                  {"num_experts", 4},
                                  {"num_experts_per_tok", 2},
                                  {"moe_intermediate_size", 24},
                                  {"shared_expert_intermediate_size", 16}};
  const nlohmann::json config = change_model_config(folder, changes);
  const auto size = [&](const char* key) { return config.at(key).get<std::int64_t>(); };
  const std::int64_t hidden = size("hidden_size"), d = size("head_dim"), heads = size("num_attention_heads");
  change_model_tensors(folder, [&](auto& tensors) {
    std::erase_if(tensors, [](const auto& item) {
      return item.first.find("layers.0.self_attn") != std::string::npos ||
             item.first.find("layers.1.mlp") != std::string::npos ||
             item.first.find("self_attn.q_proj") != std::string::npos;
    });
    for (auto& [name, tensor] : tensors) {
      if (name.find("norm") != std::string::npos) tensor = tensor - 1;
    }
    const auto add = [&](const std::string& name, torch::IntArrayRef shape) {
      tensors["model.layers." + name] = torch::randn(shape) / 8;
    };
    add("0.linear_attn.in_proj_qkvz.weight", {2 * 16 + 2 * 32, hidden});
    add("0.linear_attn.in_proj_ba.weight", {8, hidden});
    add("0.linear_attn.conv1d.weight", {64, 1, 4});
    add("0.linear_attn.dt_bias", {4});
    add("0.linear_attn.A_log", {4});
    add("0.linear_attn.norm.weight", {8});
    add("0.linear_attn.out_proj.weight", {hidden, 32});
    add("1.self_attn.q_proj.weight", {2 * heads * d, hidden});
    add("1.self_attn.q_norm.weight", {d});
    add("1.self_attn.k_norm.weight", {d});
    add("1.mlp.gate.weight", {4, hidden});
    add("1.mlp.experts.gate_up_proj", {4, 48, hidden});
    add("1.mlp.experts.down_proj", {4, hidden, 24});
    add("1.mlp.shared_expert.gate_proj.weight", {16, hidden});
    add("1.mlp.shared_expert.up_proj.weight", {16, hidden});
    add("1.mlp.shared_expert.down_proj.weight", {hidden, 16});
    add("1.mlp.shared_expert_gate.weight", {1, hidden});
    tensors["mtp.fc.weight"] = torch::zeros({2, 2});  // published files have such heads; nothing reads them
  });
}

}  // namespace

TEST_CASE("recurrent layers: the whole pipeline runs, and the layer with full attention evicts", "[stages]") {
  const Tiny tiny;
  make_recurrent(tiny.folder / "model");
  run_where_layer_one_evicts(tiny);
}

TEST_CASE("recurrent layers: the memory estimate counts the weights of their own", "[stages]") {
  const Tiny tiny;
  make_recurrent(tiny.folder / "model");
  const Config config = tiny.config();
  const ModelShape shape = read_model_shape(config.model.path);
  const SafetensorsFile file(std::filesystem::path(config.model.path) / "model.safetensors");
  double bytes = 0;
  for (const auto& [name, view] : file.tensors()) {
    // Vectors and the few rows of rates, which the estimate leaves out.
    const bool small = view.shape.size() == 1 || view.bytes.size() < 4096 || name == "mtp.fc.weight";
    if (!small) bytes += static_cast<double>(view.bytes.size());
  }
  const ModelOptions options;  // float32, as the file, so that the tied head is no second copy
  for (const MemoryItem& item : model_memory({&config, &shape, options, 0, 0, 1})) {
    if (item.what == "weights") CHECK(item.bytes == Approx(bytes).epsilon(0.02));
  }
}
