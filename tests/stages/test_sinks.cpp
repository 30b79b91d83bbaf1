// The whole pipeline on a gpt-oss: sinks in the softmax, a sliding layer, experts with biases.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "tests/stages/change_model_config.h"
#include "tests/stages/change_model_tensors.h"
#include "tests/stages/layer_one_evicts.h"
#include "tests/stages/tiny.h"
#include "trainer/base/text.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Makes a gpt-oss of the tiny Llama: layer 0 slides, each layer has 4 experts, of which a token takes 2.
void make_gpt_oss(const std::filesystem::path& folder) {
  torch::manual_seed(8);
  const nlohmann::json rope = {
      {"rope_type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 256}, {"truncate", false}};
  const nlohmann::json changes = {{"architectures", {"GptOssForCausalLM"}},
                                  {"model_type", "gpt_oss"},
                                  {"num_local_experts", 4},
                                  {"num_experts_per_tok", 2},
                                  {"sliding_window", 24},
                                  {"rope_scaling", rope}};
  const nlohmann::json config = change_model_config(folder, changes);
  const auto size = [&](const char* key) { return config.at(key).get<std::int64_t>(); };
  const std::int64_t hidden = size("hidden_size"), width = size("intermediate_size"),
                     heads = size("num_attention_heads"), d = size("head_dim"),
                     kv_heads = size("num_key_value_heads");
  change_model_tensors(folder, [&](auto& tensors) {
    std::erase_if(tensors, [](const auto& item) { return item.first.find(".mlp.") != std::string::npos; });
    for (const char* layer : {"0", "1"}) {
      const std::string prefix = concat("model.layers.", layer, ".");
      const auto add = [&](const std::string& name, torch::IntArrayRef shape) {
        tensors[prefix + name] = torch::randn(shape) / 8;
      };
      add("self_attn.sinks", {heads});
      add("self_attn.q_proj.bias", {heads * d});
      add("self_attn.k_proj.bias", {kv_heads * d});
      add("self_attn.v_proj.bias", {kv_heads * d});
      add("self_attn.o_proj.bias", {hidden});
      add("mlp.router.weight", {4, hidden});
      add("mlp.router.bias", {4});
      add("mlp.experts.gate_up_proj", {4, hidden, 2 * width});
      add("mlp.experts.gate_up_proj_bias", {4, 2 * width});
      add("mlp.experts.down_proj", {4, width, hidden});
      add("mlp.experts.down_proj_bias", {4, hidden});
    }
  });
}

}  // namespace

TEST_CASE("sinks: the whole pipeline runs on a gpt-oss", "[stages]") {
  const Tiny tiny;
  make_gpt_oss(tiny.folder / "model");
  run_where_layer_one_evicts(tiny);
}
