#include "trainer/model_files/model_shape.h"

#include <algorithm>
#include <map>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/architectures.h"
#include "trainer/model_files/config_json.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/layer_kinds.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

// No model comes near these; they keep products of sizes within int64.
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxExperts = 4096;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

/// Throws Error(kInput) naming a snapshot if `folder` is a model's folder in the hub's cache, which holds the
/// model one level deeper.
void refuse_cache_of_hub(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder / "config.json", error)) return;
  for (std::filesystem::directory_iterator entry(folder / "snapshots", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!std::filesystem::exists(entry->path() / "config.json", error)) continue;
    throw Error(ErrorKind::kInput, concat(folder.string(), ": a folder of the hub's cache; the model is in ",
                                          entry->path().string()));
  }
}

/// The one architecture of the file; empty where it names none or several.
std::string architecture_of(const ConfigJson& config) {
  const Json& names = config.get("architectures");
  const bool one = names.is_array() && names.size() == 1 && names[0].is_string();
  return one ? names[0].get<std::string>() : "";
}

const Architecture& find_architecture(const ConfigJson& config) {
  const std::string name = architecture_of(config);
  for (const Architecture& known : architectures()) {
    if (name == known.name) return known;
  }
  config.fail("architectures", "'" + one_line(name) + "' is not supported (" +
                                   join(supported_architectures(), ", ") + " are)");
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
  // Qwen3.5-MoE has no dense layer and states the experts' width alone.
  const bool experts_alone =
      architecture.qwen_next && architecture.experts && !config.has("intermediate_size");
  shape.intermediate_size =
      config.count(experts_alone ? "moe_intermediate_size" : "intermediate_size", kMaxWidth);
  shape.vocabulary_size = config.count("vocab_size", kMaxWidth);
  shape.max_positions = stated(config, architecture, "max_position_embeddings", kMaxPositions, 2048);
  const std::int64_t usual = architecture.head_dimension;
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

/// Which layers are mixtures and, where some are, their experts.
void read_experts(const ConfigJson& config, const Architecture& architecture, ModelShape& shape) {
  // transformers 5 writes the second name.
  const char* count_key = config.has("num_experts") ? "num_experts" : "num_local_experts";
  ExpertShape& experts = shape.experts;
  experts.count = config.count(count_key, kMaxExperts);
  experts.chosen = config.count("num_experts_per_tok", kMaxExperts);
  if (experts.chosen > experts.count) {
    config.fail("num_experts_per_tok",
                concat(experts.chosen, " is more than ", count_key, " ", experts.count));
  }
  experts.intermediate_size =
      architecture.gpt_oss ? shape.intermediate_size : config.count("moe_intermediate_size", kMaxWidth);
  experts.normalised = config.has("norm_topk_prob") ? config.flag("norm_topk_prob") : architecture.qwen_next;
  if (architecture.qwen_next)
    experts.shared_size = config.count("shared_expert_intermediate_size", kMaxWidth);
  const std::int64_t every = config.count("decoder_sparse_step", kMaxLayers, 1);
  const std::vector<std::int64_t> dense = dense_layers(config, shape.layers);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const bool sparse = (layer + 1) % every == 0 && std::ranges::find(dense, layer) == dense.end();
    if (sparse) shape.kinds.at(static_cast<std::size_t>(layer)).feed_forward = FeedForwardKind::kExperts;
  }
  if (shape.expert_layers() == 0) experts = {};
}

/// Weights of another type than config.json's own.
void refuse_quantised(const ConfigJson& config, const Architecture& architecture) {
  constexpr const char* kKey = "quantization_config";
  if (!config.has(kKey)) return;
  const nlohmann::json& method = field(config.get(kKey), "quant_method", concat(config.file(), ": ", kKey));
  if (architecture.gpt_oss && method == "mxfp4") return;
  config.fail(kKey, concat("weights quantised by ", shown_json(method), " are not supported (",
                           architecture.gpt_oss ? "\"mxfp4\" is" : "float32, float16 and bfloat16 are", ")"));
}

/// Biases of the projections of attention.
void read_biases(const ConfigJson& config, const Architecture& architecture, ModelShape& shape) {
  using enum Architecture::Bias;
  const bool all =
      architecture.bias == kAll || (architecture.bias == kAsConfigured && config.flag("attention_bias"));
  shape.query_key_value_bias = all || architecture.bias == kQueryKeyValue;
  shape.output_bias = all;
}

/// Pairs of dimensions are rotated, each by a factor of its own with longrope.
void require_rotated_dimensions(const ConfigJson& config, const ModelShape& shape) {
  const std::int64_t rotated = shape.rotated_dimensions;
  if (rotated < 2 || rotated % 2 != 0) {
    config.fail("partial_rotary_factor", concat(rotated, " of ", shape.head_dimension,
                                                " dimensions would be rotated, expected an even number"));
  }
  if (shape.rope.type != RopeType::kLongRope) return;
  for (const auto* factors : {&shape.rope.short_factors, &shape.rope.long_factors}) {
    if (static_cast<std::int64_t>(factors->size()) == rotated / 2) continue;
    config.fail(factors == &shape.rope.short_factors ? "short_factor" : "long_factor",
                concat(factors->size(), " factors, expected one for each of ", rotated / 2, " frequencies"));
  }
}

/// The rotation and, as it may stretch it, the longest text.
void read_rotation(const ConfigJson& config, const Architecture& architecture, ModelShape& shape) {
  const bool by_kind = architecture.gemma == 3;  // parameters for each kind of attention
  shape.rope = read_rope_parameters(config, shape.max_positions,
                                    {.theta = architecture.rope_theta,
                                     .section = by_kind ? "full_attention" : nullptr,
                                     .phi = architecture.phi,
                                     .usual_share = architecture.qwen_next ? 0.25 : 1.0,
                                     .partial = architecture.phi || architecture.qwen_next});
  if (by_kind) {
    shape.sliding_rope = read_rope_parameters(
        config, shape.max_positions,
        {.theta_key = "rope_local_base_freq", .section = "sliding_attention", .has_scaling = false});
  }
  shape.rotated_dimensions =
      static_cast<std::int64_t>(static_cast<double>(shape.head_dimension) * shape.rope.rotated_share);
  require_rotated_dimensions(config, shape);
  if (!by_kind) shape.max_positions = longest_text(shape.rope, shape.max_positions);  // else it is stated
  for (std::int64_t layer = 0; architecture.skips_rotation && layer < shape.layers; ++layer)
    shape.kinds[static_cast<std::size_t>(layer)].rotates = rotates(config, layer, shape.layers);
}

}  // namespace

std::int64_t ModelShape::expert_layers() const {
  return std::ranges::count(kinds, FeedForwardKind::kExperts, &LayerKind::feed_forward);
}

std::int64_t ModelShape::layers_of(AttentionKind kind) const {
  if (kinds.empty()) return kind == AttentionKind::kFull ? layers : 0;
  return std::ranges::count(kinds, kind, &LayerKind::attention);
}

std::int64_t ModelShape::evicting_layers() const {
  return layers_of(AttentionKind::kFull);
}

std::vector<std::int64_t> ModelShape::evicting_layer_numbers() const {
  std::vector<std::int64_t> numbers;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    if (kind(layer).attention == AttentionKind::kFull) numbers.push_back(layer);
  }
  return numbers;
}

std::vector<LayerPlace> ModelShape::layer_places() const {
  std::vector<LayerPlace> places;
  std::map<AttentionKind, std::size_t> seen;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const AttentionKind own = kind(layer).attention;
    places.push_back({own, seen[own]++});
  }
  return places;
}

std::string layers_text(const ModelShape& shape) {
  const std::int64_t evicting = shape.evicting_layers();
  if (evicting == shape.layers) return concat(shape.layers, " layers");
  return concat(shape.layers, " layers, of which ", evicting, evicting == 1 ? " evicts (" : " evict (",
                join(shape.evicting_layer_numbers(), ", "), ")");
}

const std::vector<std::string>& supported_architectures() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Architecture& known : architectures()) names.emplace_back(known.name);
    return names;
  }();
  return kNames;
}

ModelShape read_model_shape(const std::filesystem::path& folder) {
  refuse_cache_of_hub(folder);
  const ConfigJson config(folder / "config.json");
  const Architecture& architecture = find_architecture(config);
  ModelShape shape;
  shape.architecture = architecture.name;
  const bool is_silu = !config.json().contains("hidden_act") || config.get("hidden_act") == "silu";
  if (architecture.gemma == 0 && !is_silu) {
    config.fail("hidden_act", shown_json(config.get("hidden_act")) + " is not supported (silu is)");
  }
  if (config.flag("mlp_bias")) config.fail("mlp_bias", "true is not supported");
  refuse_quantised(config, architecture);
  read_sizes(config, architecture, shape);
  shape.kinds.resize(static_cast<std::size_t>(shape.layers));
  if (architecture.experts || architecture.gpt_oss) read_experts(config, architecture, shape);
  shape.norm_epsilon = config.positive("rms_norm_eps", architecture.norm_epsilon);
  shape.tied_embeddings =
      config.has("tie_word_embeddings") ? config.flag("tie_word_embeddings") : architecture.ties;
  read_biases(config, architecture, shape);
  shape.query_key_norm = architecture.query_key_norm;
  shape.norms = architecture.norms;
  shape.fused_projections = architecture.phi;
  if (architecture.gemma > 0) read_gemma(config, architecture.gemma, shape);
  if (architecture.gpt_oss) read_gpt_oss(config, shape);
  if (architecture.qwen_next) read_qwen_next(config, shape);
  read_rotation(config, architecture, shape);
  read_attention_kinds(config, architecture, shape);
  return shape;
}

}  // namespace foresight
