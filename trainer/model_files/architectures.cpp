#include "trainer/model_files/architectures.h"

#include <array>
#include <cmath>

#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {
namespace {

constexpr std::int64_t kMostLayers = 4096;

/// Qwen: the first max_window_layers see everything.
bool slides_in_qwen(const ConfigJson& config, std::int64_t layer) {
  constexpr std::int64_t kUsual = 28;
  constexpr const char* kKey = "max_window_layers";
  return config.get(kKey) == 0 || layer >= config.count(kKey, kMostLayers, kUsual);
}

/// SmolLM3: the layers that positions do not turn.
bool slides_in_smollm3(const ConfigJson& config, std::int64_t layer) {
  return !rotates(config, layer, config.count("num_hidden_layers", kMostLayers));
}

/// OLMo-3: three of four.
bool slides_in_olmo3(const ConfigJson& /*config*/, std::int64_t layer) {
  constexpr std::int64_t kEvery = 4;
  return (layer + 1) % kEvery != 0;
}

/// Gemma 2 and gpt-oss: every second one, from the first.
bool slides_every_second(const ConfigJson& /*config*/, std::int64_t layer) {
  return (layer + 1) % 2 != 0;
}

/// Gemma 3: all but every sixth, unless the file says otherwise.
bool slides_in_gemma3(const ConfigJson& config, std::int64_t layer) {
  constexpr std::int64_t kUsual = 6;
  return (layer + 1) % config.count("sliding_window_pattern", kMostLayers, kUsual) != 0;
}

/// A cap of Gemma: `usual` where the key is absent, none where it is null.
double cap_of(const ConfigJson& config, const char* key, double usual) {
  return config.json().contains(key) ? config.positive(key, 0.0) : usual;
}

}  // namespace

void read_gemma(const ConfigJson& config, int version, ModelShape& shape) {
  constexpr const char* kActivation = "gelu_pytorch_tanh";
  constexpr double kUsualScalar = 256, kUsualScoreCap = 50, kUsualLogitCap = 30;
  for (const char* key : {"hidden_activation", "hidden_act"}) {
    if (config.has(key) && config.get(key) != kActivation)
      config.fail(key, concat(shown_json(config.get(key)), " is not supported (", kActivation, " is)"));
  }
  if (config.flag("use_bidirectional_attention"))
    config.fail("use_bidirectional_attention", "true is not supported");
  shape.activation = Activation::kGeluTanh;
  shape.norms_add_one = true;
  shape.embedding_scale = std::sqrt(static_cast<double>(shape.hidden_size));
  shape.query_scale = std::sqrt(static_cast<double>(shape.head_dimension) /
                                config.positive("query_pre_attn_scalar", kUsualScalar));
  shape.score_cap = cap_of(config, "attn_logit_softcapping", version == 2 ? kUsualScoreCap : 0.0);
  if (version == 3 && shape.score_cap > 0)
    config.fail("attn_logit_softcapping", "is not supported for Gemma 3 (null is)");
  shape.logit_cap = cap_of(config, "final_logit_softcapping", version == 2 ? kUsualLogitCap : 0.0);
}

void read_gpt_oss(const ConfigJson& config, ModelShape& shape) {
  constexpr double kLimit = 7.0;
  const double limit = config.positive("swiglu_limit", kLimit);
  if (limit != kLimit) config.fail("swiglu_limit", concat(limit, " is not supported (", kLimit, " is)"));
  if (!config.has("rope_parameters") && !config.has("rope_scaling"))
    config.fail("rope_parameters", "missing; gpt-oss needs them (or rope_scaling)");
  shape.sinks = true;
  shape.activation = Activation::kClampedSilu;
  shape.experts.chosen_first = true;
  shape.experts.biases = true;
}

void read_qwen_next(const ConfigJson& config, ModelShape& shape) {
  constexpr std::int64_t kMostHeads = 4096, kMostDimensions = 65536;
  shape.norms_add_one = true;
  shape.gated_attention = true;
  RecurrentShape& recurrent = shape.recurrent;
  recurrent.key_heads = config.count("linear_num_key_heads", kMostHeads);
  recurrent.value_heads = config.count("linear_num_value_heads", kMostHeads);
  recurrent.key_dimension = config.count("linear_key_head_dim", kMostDimensions);
  recurrent.value_dimension = config.count("linear_value_head_dim", kMostDimensions);
  recurrent.convolution = config.count("linear_conv_kernel_dim", kMostDimensions);
  if (recurrent.value_heads % recurrent.key_heads != 0) {
    config.fail(
        "linear_num_key_heads",
        concat(recurrent.key_heads, " does not divide linear_num_value_heads ", recurrent.value_heads));
  }
}

bool rotates(const ConfigJson& config, std::int64_t layer, std::int64_t layers) {
  constexpr const char* kKey = "no_rope_layers";
  constexpr std::int64_t kUsualInterval = 4;
  if (!config.has(kKey))
    return (layer + 1) % config.count("no_rope_layer_interval", kMostLayers, kUsualInterval) != 0;
  const nlohmann::json& flags = config.get(kKey);
  if (!flags.is_array() || static_cast<std::int64_t>(flags.size()) != layers)
    config.fail(kKey, concat("expected a list of ", layers, " numbers, one a layer"));
  const nlohmann::json& flag = flags[static_cast<std::size_t>(layer)];
  if (flag != 0 && flag != 1)
    config.fail(kKey, concat("layer ", layer, ": expected 0 or 1, got ", shown_json(flag)));
  return flag == 1;
}

namespace {

using Bias = Architecture::Bias;
constexpr std::array<Architecture, 16> kArchitectures = {{
    {.name = "LlamaForCausalLM", .bias = Bias::kAsConfigured, .states_sizes = false},
    {.name = "MistralForCausalLM", .sliding = SlidingRule::kAll},
    {.name = "MinistralForCausalLM", .sliding = SlidingRule::kAsConfigured},
    {.name = "Qwen2ForCausalLM",
     .bias = Bias::kQueryKeyValue,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_in_qwen,
     .asks_to_slide = true},
    {.name = "Qwen3ForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_in_qwen,
     .asks_to_slide = true,
     .head_dimension = 128},
    {.name = "Qwen3MoeForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .sliding = SlidingRule::kAll,
     .asks_to_slide = true,
     .experts = true},
    {.name = "Olmo2ForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kWhole,
     .norms = NormPlace::kAfter,
     .states_sizes = false,
     .norm_epsilon = 1e-5},
    {.name = "Olmo3ForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kWhole,
     .norms = NormPlace::kAfter,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_in_olmo3,
     .states_sizes = false,
     .norm_epsilon = 1e-5,
     .window = 4096},
    {.name = "SmolLM3ForCausalLM",
     .bias = Bias::kAsConfigured,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_in_smollm3,
     .asks_to_slide = true,
     .ties = true,
     .skips_rotation = true,
     .rope_theta = 2e6},
    {.name = "Phi3ForCausalLM", .sliding = SlidingRule::kAll, .phi = true, .norm_epsilon = 1e-5},
    {.name = "Gemma2ForCausalLM",
     .bias = Bias::kAsConfigured,
     .norms = NormPlace::kBoth,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_every_second,
     .ties = true,
     .gemma = 2,
     .window = 4096,
     .head_dimension = 256},
    {.name = "Gemma3ForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .norms = NormPlace::kBoth,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_in_gemma3,
     .ties = true,
     .gemma = 3,
     .rope_theta = 1e6,
     .window = 4096,
     .head_dimension = 256},
    {.name = "GptOssForCausalLM",
     .bias = Bias::kAll,
     .sliding = SlidingRule::kAsConfigured,
     .slides = slides_every_second,
     .gpt_oss = true,
     .norm_epsilon = 1e-5,
     .rope_theta = 150000.0,
     .window = 128,
     .head_dimension = 64},
    {.name = "Qwen3NextForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .experts = true,
     .qwen_next = true,
     .head_dimension = 256},
    {.name = "Qwen3_5ForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .qwen_next = true,
     .head_dimension = 256},
    {.name = "Qwen3_5MoeForCausalLM",
     .bias = Bias::kAsConfigured,
     .query_key_norm = QueryKeyNorm::kHeads,
     .experts = true,
     .qwen_next = true,
     .head_dimension = 256},
}};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

}  // namespace foresight
