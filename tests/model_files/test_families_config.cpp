// What config.json of Phi and Gemma says, and what of it is refused by key.
#include <cmath>

#include "tests/model_files/family_config.h"

namespace foresight {
namespace {

using Catch::Contains;

ModelShape shape_of(const std::string& architecture, const std::string& more) {
  return family_shape(architecture, more, 2);
}

std::string fault_of(const std::string& architecture, const std::string& more) {
  return family_fault(architecture, more, 2);
}

/// rope_scaling of a Phi-3 with these members beside the type.
std::string long_rope(const std::string& inside) {
  return concat(R"("original_max_position_embeddings": 16, "rope_scaling": {"type": "longrope", )", inside,
                "}, ");
}

TEST_CASE("phi: rope type longrope and partial rotation are read") {
  const ModelShape plain = shape_of("Phi3ForCausalLM", "\"sliding_window\": 262144, ");
  CHECK((plain.fused_projections && plain.rotated_dimensions == 8 && plain.evicting_layers() == 2));
  CHECK(plain.norm_epsilon == 1e-5);
  const ModelShape mini =
      shape_of("Phi3ForCausalLM", "\"partial_rotary_factor\": 0.75, " +
                                      long_rope(R"("short_factor": [1, 1, 1], "long_factor": [1, 2, 4.5])"));
  CHECK(mini.rotated_dimensions == 6);
  CHECK(mini.rope.type == RopeType::kLongRope);
  CHECK(mini.rope.long_factors == std::vector<double>{1, 2, 4.5});
  CHECK(mini.rope.original_positions == 16);
  CHECK(mini.rope.attention_factor == Approx(std::sqrt(1 + std::log(4.0) / std::log(16.0))));
  CHECK(mini.max_positions == 64);
}

TEST_CASE("phi: a rotation that cannot be is refused by key") {
  const auto fault = [](const std::string& more) { return fault_of("Phi3ForCausalLM", more); };
  CHECK_THAT(fault(long_rope(R"("short_factor": [1, 1, 1], "long_factor": [1, 1, 1, 1])")),
             Contains("'short_factor': 3 factors, expected one for each of 4 frequencies"));
  CHECK_THAT(fault(long_rope(R"("short_factor": [1, 1, 1, 1], "long_factor": [1])")),
             Contains("'long_factor': 1 factors"));
  CHECK_THAT(fault(long_rope(R"("short_factor": 3, "long_factor": [1])")),
             Contains("'rope_scaling.short_factor': expected a list of numbers, got 3"));
  CHECK_THAT(fault(long_rope(R"("short_factor": [1, 0, 1, 1], "long_factor": [1])")),
             Contains("'rope_scaling.short_factor': must be positive"));
  CHECK_THAT(fault(long_rope("\"short_factor\": [1, 1, 1, 1]")), Contains("'rope_scaling.long_factor'"));
  CHECK_THAT(fault(R"("rope_scaling": {"type": "yarn", "factor": 4}, )"),
             Contains("'yarn' is not supported (default and longrope are)"));
  CHECK_THAT(fault("\"partial_rotary_factor\": 0.4, "),
             Contains("'partial_rotary_factor': 3 of 8 dimensions would be rotated"));
  CHECK_THAT(fault("\"partial_rotary_factor\": 1.5, "), Contains("1.5 is not supported (at most 1 is)"));
  CHECK_THAT(fault("\"sliding_window\": 32, "), Contains("no layer has full attention"));
}

TEST_CASE("gemma: caps, scales and kinds of layers are those of its version") {
  const ModelShape two = shape_of("Gemma2ForCausalLM", "\"sliding_window\": 16, \"head_dim\": 16, ");
  CHECK((two.score_cap == 50 && two.logit_cap == 30 && two.tied_embeddings && two.norms_add_one));
  CHECK(two.evicting_layer_numbers() == std::vector<std::int64_t>{1});
  CHECK(two.embedding_scale == Approx(std::sqrt(32.0)));
  CHECK(two.query_scale == Approx(std::sqrt(16.0 / 256)));
  CHECK_FALSE(two.sliding_rope);
  const std::string uncapped = R"("attn_logit_softcapping": null, "final_logit_softcapping": null, )";
  const ModelShape null = shape_of("Gemma2ForCausalLM", uncapped);
  CHECK((null.score_cap == 0 && null.logit_cap == 0 && null.head_dimension == 256));
  // As the published files of Gemma 3 have it.
  const ModelShape three =
      shape_of("Gemma3ForCausalLM",
               R"("sliding_window": 16, "sliding_window_pattern": 2, "rope_local_base_freq": 300,)"
               R"("rope_theta": 5e5, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, )");
  CHECK((three.score_cap == 0 && three.logit_cap == 0 && three.query_key_norm == QueryKeyNorm::kHeads));
  CHECK((three.rope.type == RopeType::kLinear && three.rope.factor == 8 && three.rope.theta == 5e5));
  REQUIRE(three.sliding_rope);
  CHECK((three.sliding_rope->type == RopeType::kDefault && three.sliding_rope->theta == 300));
  CHECK(three.max_positions == 64);
  const ModelShape bare = shape_of("Gemma3ForCausalLM", "");
  CHECK((bare.rope.theta == 1e6 && bare.sliding_rope->theta == 1e4));
}

TEST_CASE("gemma: what it does not support is refused by key") {
  const auto fault = [](const std::string& more) { return fault_of("Gemma3ForCausalLM", more); };
  CHECK_THAT(fault("\"hidden_activation\": \"gelu\", "),
             Contains("'hidden_activation': \"gelu\" is not supported (gelu_pytorch_tanh is)"));
  CHECK_THAT(fault("\"hidden_act\": \"silu\", "), Contains("'hidden_act': \"silu\" is not supported"));
  CHECK_THAT(fault("\"use_bidirectional_attention\": true, "), Contains("'use_bidirectional_attention'"));
  CHECK_THAT(fault("\"attn_logit_softcapping\": 50, "), Contains("not supported for Gemma 3 (null is)"));
  CHECK_THAT(fault("\"final_logit_softcapping\": 0, "),
             Contains("'final_logit_softcapping': must be positive"));
  CHECK_THAT(fault("\"query_pre_attn_scalar\": -1, "), Contains("'query_pre_attn_scalar': must be positive"));
  CHECK_THAT(fault(R"("rope_parameters": {"rope_type": "default"}, )"),
             Contains("'rope_parameters.full_attention': expected an object, got null"));
}

/// gpt-oss of two layers with four experts, of which a token takes two.
std::string gpt_oss(const std::string& more) {
  return concat(more, R"("num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16, )");
}
const std::string kYarn = R"("rope_scaling": {"rope_type": "yarn", "factor": 4, "truncate": false,)"
                          R"("original_max_position_embeddings": 16}, )";

TEST_CASE("gpt-oss: sinks, experts with biases and every second layer sliding are read") {
  const ModelShape shape = shape_of("GptOssForCausalLM", gpt_oss(kYarn + "\"swiglu_limit\": 7.0, "));
  CHECK((shape.sinks && shape.query_key_value_bias && shape.output_bias));
  CHECK((shape.activation == Activation::kClampedSilu && shape.experts.biases && shape.experts.chosen_first));
  CHECK((shape.experts.count == 4 && shape.experts.chosen == 2));
  CHECK(shape.experts.intermediate_size == shape.intermediate_size);
  CHECK(shape.expert_layers() == 2);
  CHECK(shape.evicting_layer_numbers() == std::vector<std::int64_t>{1});
  CHECK((shape.head_dimension == 64 && shape.rope.theta == 150000 && shape.max_positions == 64));
  CHECK_FALSE(shape.rope.whole_dimensions);
  CHECK_FALSE(shape_of("LlamaForCausalLM", "").sinks);
}

TEST_CASE("gpt-oss: what it does not support is refused by key") {
  const auto fault = [](const std::string& more) { return fault_of("GptOssForCausalLM", gpt_oss(more)); };
  CHECK_THAT(fault(kYarn + "\"swiglu_limit\": 5, "), Contains("'swiglu_limit': 5 is not supported (7 is)"));
  CHECK_THAT(fault(""), Contains("'rope_parameters': missing; gpt-oss needs them"));
  CHECK_THAT(
      fault(kYarn + R"("quantization_config": {"quant_method": "fp8"}, )"),
      Contains("'quantization_config': weights quantised by \"fp8\" are not supported (\"mxfp4\" is)"));
  CHECK_THAT(fault_of("Qwen3ForCausalLM", R"("quantization_config": {"quant_method": "mxfp4"}, )"),
             Contains("'quantization_config': weights quantised by \"mxfp4\" are not supported (float32"));
  CHECK_THAT(fault(kYarn + R"("layer_types": ["sliding_attention", "linear_attention"], )"),
             Contains("'layer_types': layer 1: \"linear_attention\" is not supported"));
  CHECK_THAT(fault_of("GptOssForCausalLM",
                      kYarn + R"("num_local_experts": 4, "num_experts_per_tok": 5, "sliding_window": 16, )"),
             Contains("'num_experts_per_tok': 5 is more than num_local_experts 4"));
  CHECK_THAT(fault_of("GptOssForCausalLM", kYarn + R"("num_local_experts": 4, "num_experts_per_tok": 2,)"
                                                   R"("sliding_window": null, "layer_types":)"
                                                   R"(["sliding_attention", "full_attention"], )"),
             Contains("'sliding_window': expected a number of tokens, as layer 0 is sliding_attention"));
}

/// Qwen3-Next of two layers with four experts and a shared one, and small recurrent layers.
std::string qwen_next(const std::string& more) {
  return concat(more,
                R"("num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,)"
                R"("shared_expert_intermediate_size": 12, "linear_num_value_heads": 6,)"
                R"("linear_key_head_dim": 5, "linear_value_head_dim": 7, "linear_conv_kernel_dim": 4, )");
}
const std::string kKeyHeads = "\"linear_num_key_heads\": 3, ";

TEST_CASE("qwen3-next: recurrent layers, a gate, a shared expert and partial rotation are read") {
  const ModelShape shape =
      shape_of("Qwen3NextForCausalLM", qwen_next(kKeyHeads + "\"full_attention_interval\": 2, "));
  CHECK((shape.gated_attention && shape.norms_add_one && shape.query_key_norm == QueryKeyNorm::kHeads));
  CHECK(shape.evicting_layer_numbers() == std::vector<std::int64_t>{1});
  CHECK(shape.kind(0).attention == AttentionKind::kRecurrent);
  CHECK((shape.layers_of(AttentionKind::kRecurrent) == 1 && shape.layers_of(AttentionKind::kSliding) == 0));
  CHECK((shape.head_dimension == 256 && shape.rotated_dimensions == 64));
  CHECK((shape.experts.shared_size == 12 && shape.experts.normalised));
  const RecurrentShape& recurrent = shape.recurrent;
  CHECK((recurrent.key_heads == 3 && recurrent.value_heads == 6 && recurrent.convolution == 4));
  CHECK(recurrent.channels() == 2 * 3 * 5 + 6 * 7);
  const ModelShape listed = shape_of(
      "Qwen3NextForCausalLM",
      qwen_next(kKeyHeads +
                R"("layer_types": ["full_attention", "linear_attention"], "norm_topk_prob": false, )"));
  CHECK((listed.evicting_layer_numbers() == std::vector<std::int64_t>{0} && !listed.experts.normalised));
}

TEST_CASE("qwen3.5: dense layers, or experts that state their width alone") {
  const std::string full = "\"full_attention_interval\": 2, ";
  const ModelShape dense = shape_of("Qwen3_5ForCausalLM", qwen_next(kKeyHeads + full));
  CHECK((dense.expert_layers() == 0 && dense.experts.count == 0 && dense.gated_attention));
  CHECK(dense.evicting_layer_numbers() == std::vector<std::int64_t>{1});
  std::string text = family_config("Qwen3_5MoeForCausalLM", qwen_next(kKeyHeads + full), 2);
  text.erase(text.find("\"intermediate_size\": 48, "), 25);
  const TemporaryFolder folder;
  folder.write("config.json", text);
  const ModelShape mixture = read_model_shape(folder.path());
  CHECK((mixture.expert_layers() == 2 && mixture.experts.intermediate_size == 24));
  CHECK((mixture.experts.shared_size == 12 && mixture.experts.normalised));
}

TEST_CASE("qwen3-next: what it does not support is refused by key") {
  const auto fault = [](const std::string& more) {
    return fault_of("Qwen3NextForCausalLM", qwen_next(more));
  };
  CHECK_THAT(fault(""), Contains("'linear_num_key_heads': missing"));
  CHECK_THAT(fault("\"linear_num_key_heads\": 4, "),
             Contains("'linear_num_key_heads': 4 does not divide linear_num_value_heads 6"));
  CHECK_THAT(fault(kKeyHeads), Contains("'full_attention_interval': no layer has full attention"));
  CHECK_THAT(fault(kKeyHeads + R"("layer_types": ["linear_attention", "linear_attention"], )"),
             Contains("'layer_types': no layer has full attention"));
  CHECK_THAT(fault(kKeyHeads + R"("layer_types": ["full_attention", "sliding_attention"], )"),
             Contains("\"sliding_attention\" is not supported (full_attention and linear_attention are)"));
  CHECK_THAT(fault(kKeyHeads + "\"partial_rotary_factor\": 1.5, "),
             Contains("1.5 is not supported (at most 1"));
}

}  // namespace
}  // namespace foresight
