#include "trainer/model_files/model_shape.h"

#include <algorithm>
#include <array>

#include "trainer/base/text.h"
#include "trainer/model_files/config_json.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

// No model comes near these; they keep products of sizes within int64.
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxExperts = 4096;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

/// What the architectures of this family differ in; everything else is one forward pass.
struct Architecture {
  const char* name;
  enum class Bias { kNone, kQueryKeyValue, kAsConfigured } bias;
  bool query_key_norm;
  bool states_sizes;                    ///< num_key_value_heads and max_position_embeddings must be there
  std::int64_t head_dimension_default;  ///< 0: hidden_size / num_attention_heads
  bool experts;                         ///< layers may be mixtures of experts
};
constexpr std::array<Architecture, 5> kArchitectures = {{
    {"LlamaForCausalLM", Architecture::Bias::kAsConfigured, false, false, 0, false},
    {"MistralForCausalLM", Architecture::Bias::kNone, false, true, 0, false},
    {"Qwen2ForCausalLM", Architecture::Bias::kQueryKeyValue, false, true, 0, false},
    {"Qwen3ForCausalLM", Architecture::Bias::kAsConfigured, true, true, 128, false},
    {"Qwen3MoeForCausalLM", Architecture::Bias::kAsConfigured, true, true, 0, true},
}};

/// The one architecture of the file; empty where it names none or several.
std::string architecture_of(const ConfigJson& config) {
  const Json& names = config.get("architectures");
  const bool one = names.is_array() && names.size() == 1 && names[0].is_string();
  return one ? names[0].get<std::string>() : "";
}

const Architecture& find_architecture(const ConfigJson& config) {
  const std::string name = architecture_of(config);
  for (const Architecture& known : kArchitectures) {
    if (name == known.name) return known;
  }
  config.fail("architectures", "'" + one_line(name) + "' is not supported (" +
                                   join(supported_architectures(), ", ") + " are)");
}

/// Every layer must see the whole text: the future attention of an entry has no meaning beyond a window.
void refuse_sliding_window(const ConfigJson& config, const std::string& architecture) {
  const Json& kinds = config.get("layer_types");
  if (!kinds.is_null() && !kinds.is_array()) config.fail("layer_types", "expected a list");
  for (const Json& kind : kinds) {
    if (kind != "full_attention") {
      config.fail("layer_types", shown_json(kind) + " is not supported (full_attention is)");
    }
  }
  // Qwen2 and Qwen3 state a window that is used only with use_sliding_window.
  const bool optional = architecture.starts_with("Qwen");
  if (optional && !config.flag("use_sliding_window")) return;
  if (!config.has("sliding_window")) return;
  config.fail("sliding_window", shown_json(config.get("sliding_window")) + " is not supported (null is)");
}

/// `key`, whose absence means `when_absent` for an architecture that need not state it.
std::int64_t stated(const ConfigJson& config, const Architecture& architecture, const char* key,
                    std::int64_t largest, std::int64_t when_absent) {
  return architecture.states_sizes ? config.count(key, largest) : config.count(key, largest, when_absent);
}

void read_sizes(const ConfigJson& config, const Architecture& architecture, ModelShape& shape) {
  shape.layers = config.count("num_hidden_layers", kMaxLayers);
  shape.query_heads = config.count("num_attention_heads", kMaxHeads);
  shape.kv_heads = stated(config, architecture, "num_key_value_heads", kMaxHeads, shape.query_heads);
  shape.hidden_size = config.count("hidden_size", kMaxWidth);
  shape.intermediate_size = config.count("intermediate_size", kMaxWidth);
  shape.vocabulary_size = config.count("vocab_size", kMaxWidth);
  shape.max_positions = stated(config, architecture, "max_position_embeddings", kMaxPositions, 2048);
  const std::int64_t usual = architecture.head_dimension_default;
  shape.head_dimension =
      config.count("head_dim", kMaxWidth, usual > 0 ? usual : shape.hidden_size / shape.query_heads);
  if (shape.query_heads % shape.kv_heads != 0) {
    config.fail("num_key_value_heads",
                concat(shape.kv_heads, " does not divide num_attention_heads ", shape.query_heads));
  }
  if (shape.head_dimension < 2 || shape.head_dimension % 2 != 0) {
    config.fail("head_dim", concat("is ", shape.head_dimension, ", must be even for rotary embeddings"));
  }
}

/// Layers that stay dense by name: numbers below `layers`.
std::vector<std::int64_t> dense_layers(const ConfigJson& config, std::int64_t layers) {
  constexpr const char* kKey = "mlp_only_layers";
  std::vector<std::int64_t> numbers;
  if (!config.has(kKey)) return numbers;
  if (!config.get(kKey).is_array()) config.fail(kKey, "expected a list of layer numbers");
  for (const Json& number : config.get(kKey)) {
    if (!number.is_number_integer() || number < 0 || number >= layers) {
      config.fail(kKey, concat("expected layer numbers 0 to ", layers - 1, ", got ", shown_json(number)));
    }
    numbers.push_back(number.get<std::int64_t>());
  }
  return numbers;
}

/// The layers' kinds and, where some layers are mixtures, their experts.
void read_experts(const ConfigJson& config, ModelShape& shape) {
  // transformers 5 writes the second name.
  const char* count_key = config.has("num_experts") ? "num_experts" : "num_local_experts";
  ExpertShape& experts = shape.experts;
  experts.count = config.count(count_key, kMaxExperts);
  experts.chosen = config.count("num_experts_per_tok", kMaxExperts);
  if (experts.chosen > experts.count) {
    config.fail("num_experts_per_tok",
                concat(experts.chosen, " is more than ", count_key, " ", experts.count));
  }
  experts.intermediate_size = config.count("moe_intermediate_size", kMaxWidth);
  experts.normalised = config.flag("norm_topk_prob");
  const std::int64_t every = config.count("decoder_sparse_step", kMaxLayers, 1);
  const std::vector<std::int64_t> dense = dense_layers(config, shape.layers);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const bool sparse = (layer + 1) % every == 0 && std::ranges::find(dense, layer) == dense.end();
    shape.kinds.push_back({sparse ? FeedForwardKind::kExperts : FeedForwardKind::kDense});
  }
  if (shape.expert_layers() == 0) experts = {};
}

}  // namespace

std::int64_t ModelShape::expert_layers() const {
  return std::ranges::count(kinds, FeedForwardKind::kExperts, &LayerKind::feed_forward);
}

const std::vector<std::string>& supported_architectures() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Architecture& known : kArchitectures) names.emplace_back(known.name);
    return names;
  }();
  return kNames;
}

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const ConfigJson config(folder / "config.json");
  const Architecture& architecture = find_architecture(config);
  ModelShape shape;
  shape.architecture = architecture.name;
  if (config.json().contains("hidden_act") && config.get("hidden_act") != "silu") {
    config.fail("hidden_act", shown_json(config.get("hidden_act")) + " is not supported (silu is)");
  }
  if (config.flag("mlp_bias")) config.fail("mlp_bias", "true is not supported");
  refuse_sliding_window(config, shape.architecture);
  read_sizes(config, architecture, shape);
  if (architecture.experts) read_experts(config, shape);
  shape.norm_epsilon = config.positive("rms_norm_eps", 1e-6);
  shape.tied_embeddings = config.flag("tie_word_embeddings");
  const bool configured =
      architecture.bias == Architecture::Bias::kAsConfigured && config.flag("attention_bias");
  shape.query_key_value_bias = configured || architecture.bias == Architecture::Bias::kQueryKeyValue;
  shape.output_bias = configured;
  shape.query_key_norm = architecture.query_key_norm;
  shape.rope = read_rope_parameters(config, shape.max_positions);
  shape.max_positions = longest_text(shape.rope, shape.max_positions);
  return shape;
}

}  // namespace foresight
