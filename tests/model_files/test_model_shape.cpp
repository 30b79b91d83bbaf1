#include "trainer/model_files/model_shape.h"

#include <cmath>
#include <fstream>

#include "tests/model_files/support.h"

namespace foresight {
namespace {

using Catch::Contains;

ModelShape shape_of(const std::string& config) {
  const TemporaryFolder folder;
  folder.write("config.json", config);
  return read_model_shape(folder.path());
}

/// The message of reading this config.json.
std::string fault_of(const std::string& config) {
  const std::string message = error_of(ErrorKind::kInput, [&] { shape_of(config); });
  CHECK_THAT(message, Contains("config.json"));
  return message;
}

/// The message for the least config with `from` replaced.
std::string fault_with(const std::string& from, const std::string& to) {
  std::string config = least_config();
  config.replace(config.find(from), from.size(), to);
  return fault_of(config);
}

TEST_CASE("model shape: a config of transformers is read as it stands") {
  const ModelShape shape = read_model_shape(reference_folder("llama") / "tiny");
  CHECK(shape.architecture == "LlamaForCausalLM");
  CHECK(shape.layers == 2);
  CHECK(shape.query_heads == 6);
  CHECK(shape.kv_heads == 2);
  CHECK(shape.head_dimension == 8);
  CHECK(shape.hidden_size == 48);
  CHECK(shape.intermediate_size == 80);
  CHECK(shape.vocabulary_size == 97);
  CHECK(shape.max_positions == 512);
  CHECK(shape.rope.theta == 10000.0);
  CHECK(shape.norm_epsilon == 1e-5);
  CHECK(shape.tied_embeddings);
  CHECK_FALSE(shape.query_key_value_bias);
  CHECK_FALSE(shape.output_bias);
  CHECK(shape.query_key_norm == QueryKeyNorm::kNone);
  CHECK(shape.evicting_layers() == 2);
  CHECK(layers_text(shape) == "2 layers");
}

TEST_CASE("model shape: what is left out has the defaults of transformers") {
  const ModelShape shape = shape_of(least_config(""));
  CHECK(shape.kv_heads == 4);
  CHECK(shape.head_dimension == 8);
  CHECK(shape.max_positions == 2048);
  CHECK(shape.norm_epsilon == 1e-6);
  CHECK_FALSE(shape.tied_embeddings);
  const ModelShape more =
      shape_of(least_config(R"("rope_scaling": {"type": "default", "rope_theta": 5e5}, "head_dim": 6, )"));
  CHECK(more.rope.theta == 5e5);
  CHECK(more.head_dimension == 6);
}

TEST_CASE("model shape: a file that is missing, no JSON or hostile JSON is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_model_shape(folder.path()); }),
             Contains("config.json: not there"));
  CHECK_THAT(fault_of(""), Contains("expected JSON"));
  CHECK_THAT(fault_of("{"), Contains("expected JSON"));
  CHECK_THAT(fault_of("[]"), Contains("expected a JSON object, got array"));
  CHECK_THAT(fault_of("{\"a\": \"\xff\"}"), Contains("not UTF-8 at byte 7"));
  CHECK_THAT(fault_of(least_config("\"vocab_size\": 1, ")), Contains("\"vocab_size\" occurs twice"));
  // A value this deep once overflowed the stack when a message showed it.
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK_THAT(fault_with("32", deep), Contains("nested deeper than 32"));
}

TEST_CASE("model shape: of a folder of the hub's cache the snapshot is named") {
  const TemporaryFolder folder;
  const auto snapshot = folder.path() / "snapshots/12fd25f77366fa6b3b4b768ec3050bf629380bac";
  std::filesystem::create_directories(snapshot);
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_model_shape(folder.path()); }), Contains("config.json"));
  std::ofstream(snapshot / "config.json") << least_config();
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_model_shape(folder.path()); }),
             Contains("the model is in " + snapshot.string()));
  CHECK(read_model_shape(snapshot).layers == 2);
}

TEST_CASE("model shape: what is not supported is refused by name, on one line") {
  CHECK_THAT(fault_with("LlamaForCausalLM", "GemmaForCausalLM"),
             Contains("'GemmaForCausalLM' is not supported"));
  CHECK_THAT(fault_with("LlamaForCausalLM", "a\\nb"), Contains("'a\\nb' is not supported"));
  CHECK_THAT(fault_with("[\"LlamaForCausalLM\"]", "[\"LlamaForCausalLM\", \"x\"]"),
             Contains("architectures"));
  CHECK_THAT(fault_with("[\"LlamaForCausalLM\"]", "\"LlamaForCausalLM\""), Contains("architectures"));
  CHECK_THAT(fault_of(least_config("\"hidden_act\": \"gelu\", ")), Contains("\"gelu\" is not supported"));
  CHECK_THAT(fault_of(least_config("\"hidden_act\": [[\"silu\"]], ")), Contains("array is not supported"));
  CHECK_THAT(fault_of(least_config("\"mlp_bias\": true, ")), Contains("mlp_bias"));
  CHECK_THAT(fault_of(least_config(R"("rope_parameters": {"rope_type": "longrope"}, )")),
             Contains("'longrope' is not supported (default, linear,"));
  CHECK_THAT(fault_of(least_config("\"rope_scaling\": 3, ")), Contains("rope_scaling': expected an object"));
}

/// The least config of another architecture, which has to state more.
std::string config_of(const std::string& architecture, const std::string& more = "") {
  std::string config = least_config(more + R"("num_key_value_heads": 2, "max_position_embeddings": 64, )");
  config.replace(config.find("LlamaForCausalLM"), 16, architecture);
  return config;
}

TEST_CASE("model shape: biases, norms and head sizes are those of the architecture") {
  const ModelShape llama = shape_of(least_config("\"attention_bias\": true, "));
  CHECK((llama.query_key_value_bias && llama.output_bias));
  const ModelShape mistral = shape_of(config_of("MistralForCausalLM", "\"sliding_window\": null, "));
  CHECK((!mistral.query_key_value_bias && !mistral.output_bias && mistral.head_dimension == 8));
  const ModelShape qwen2 = shape_of(config_of("Qwen2ForCausalLM"));
  CHECK((qwen2.query_key_value_bias && !qwen2.output_bias));
  const ModelShape qwen3 = shape_of(config_of("Qwen3ForCausalLM"));
  CHECK((!qwen3.query_key_value_bias && qwen3.head_dimension == 128));
  CHECK(llama.query_key_norm == QueryKeyNorm::kNone);
  CHECK(qwen2.query_key_norm == QueryKeyNorm::kNone);
  CHECK(qwen3.query_key_norm == QueryKeyNorm::kHeads);
  CHECK(shape_of(config_of("Qwen3ForCausalLM", "\"head_dim\": 16, ")).head_dimension == 16);
  // What Llama may leave out has no default that all versions of transformers agree on.
  std::string bare = least_config();
  bare.replace(bare.find("LlamaForCausalLM"), 16, "Qwen2ForCausalLM");
  CHECK_THAT(fault_of(bare), Contains("'num_key_value_heads': missing"));
}

/// Of three layers, with a mixture of four experts in each unless `more` says otherwise.
std::string expert_config(const std::string& more = "", const std::string& chosen = "2") {
  std::string config =
      config_of("Qwen3MoeForCausalLM",
                concat(more, R"("num_experts": 4, "moe_intermediate_size": 24, "num_experts_per_tok": )",
                       chosen, ", "));
  config.replace(config.find("\"num_hidden_layers\": 2"), 22, "\"num_hidden_layers\": 3");
  return config;
}

TEST_CASE("model shape: which layers are mixtures of experts, and of which") {
  const auto mixtures = [](const ModelShape& shape) {
    std::vector<std::int64_t> layers;
    for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
      if (shape.kind(layer).feed_forward == FeedForwardKind::kExperts) layers.push_back(layer);
    }
    return layers;
  };
  const ModelShape all = shape_of(expert_config());
  CHECK(mixtures(all) == std::vector<std::int64_t>{0, 1, 2});
  CHECK(all.expert_layers() == 3);
  CHECK((all.experts.count == 4 && all.experts.chosen == 2 && all.experts.intermediate_size == 24));
  CHECK_FALSE(all.experts.normalised);
  CHECK(all.head_dimension == 8);  // hidden_size / num_attention_heads where it is not stated
  CHECK(shape_of(expert_config("\"norm_topk_prob\": true, ")).experts.normalised);
  CHECK(mixtures(shape_of(expert_config("\"decoder_sparse_step\": 2, "))) == std::vector<std::int64_t>{1});
  CHECK(mixtures(shape_of(expert_config("\"mlp_only_layers\": [0, 2], "))) == std::vector<std::int64_t>{1});
  const ModelShape none = shape_of(expert_config("\"mlp_only_layers\": [0, 1, 2], "));
  CHECK((none.expert_layers() == 0 && none.experts.count == 0));
  CHECK(mixtures(shape_of(config_of("Qwen3ForCausalLM"))).empty());
  std::string newer = expert_config();
  newer.replace(newer.find("num_experts\""), 12, "num_local_experts\"");
  CHECK(shape_of(newer).experts.count == 4);
}

TEST_CASE("model shape: experts that cannot be are refused by key") {
  CHECK_THAT(fault_of(expert_config("", "5")),
             Contains("'num_experts_per_tok': 5 is more than num_experts 4"));
  CHECK_THAT(fault_of(expert_config("", "0")), Contains("'num_experts_per_tok': out of range: 0"));
  CHECK_THAT(fault_of(config_of("Qwen3MoeForCausalLM")), Contains("'num_local_experts': missing"));
  CHECK_THAT(fault_of(expert_config("\"mlp_only_layers\": 1, ")),
             Contains("'mlp_only_layers': expected a list"));
  for (const char* number : {"3", "-1", "0.5", "\"0\""}) {
    CHECK_THAT(fault_of(expert_config(concat("\"mlp_only_layers\": [", number, "], "))),
               Contains("'mlp_only_layers': expected layer numbers 0 to 2, got "));
  }
  CHECK_THAT(fault_of(expert_config("\"decoder_sparse_step\": 0, ")), Contains("'decoder_sparse_step'"));
}

TEST_CASE("model shape: rope scaling is read from either layout") {
  const RopeParameters llama3 =
      shape_of(least_config(R"("rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,)"
                            R"("low_freq_factor": 1.0, "high_freq_factor": 4.0,)"
                            R"("original_max_position_embeddings": 512}, )"))
          .rope;
  CHECK(llama3.type == RopeType::kLlama3);
  CHECK(llama3.theta == 5e5);
  CHECK(llama3.factor == 8.0);
  CHECK(llama3.original_positions == 512);
  // Qwen2.5's own files.
  const ModelShape yarn = shape_of(config_of(
      "Qwen2ForCausalLM",
      R"("rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}, )"));
  CHECK(yarn.rope.type == RopeType::kYarn);
  CHECK(yarn.max_positions == 256);
  CHECK(yarn.rope.attention_factor == Approx(0.1 * std::log(4.0) + 1.0));
  const auto rope = [](const std::string& inside) {
    return least_config(R"("rope_parameters": {)" + inside + "}, ");
  };
  CHECK(
      shape_of(rope(R"("rope_type": "yarn", "factor": 2, "attention_factor": 1.5)")).rope.attention_factor ==
      1.5);
  CHECK_THAT(fault_of(rope(R"("rope_type": "linear")")),
             Contains("'rope_parameters.factor': missing; this rope type needs it"));
  for (const char* factor : {"0.5", "0", "-1", "\"2\"", "1e300"}) {
    CHECK_THAT(fault_of(rope(concat(R"("rope_type": "dynamic", "factor": )", factor))),
               Contains("rope_parameters.factor"));
  }
  CHECK_THAT(fault_of(rope("\"rope_type\": 3")), Contains("rope_parameters.rope_type': expected a text"));
  CHECK_THAT(fault_of(rope(R"("rope_type": "llama3", "factor": 8)")), Contains("low_freq_factor': missing"));
  CHECK_THAT(
      fault_of(rope(R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4)")),
      Contains("expected more than low_freq_factor 4"));
  CHECK_THAT(fault_of(rope(R"("rope_type": "yarn", "factor": 8, "original_max_position_embeddings": 0)")),
             Contains("original_max_position_embeddings"));
  CHECK_THAT(fault_of(rope(R"("rope_type": "yarn", "factor": 8, "beta_fast": 1, "beta_slow": 2)")),
             Contains("expected at least beta_slow 2"));
  CHECK_THAT(fault_of(rope(R"("rope_type": "yarn", "factor": 8, "truncate": 1)")),
             Contains("truncate': expected true or false"));
  CHECK_THAT(fault_of(rope(R"("rope_type": "yarn", "factor": 8, "rope_theta": 1)")),
             Contains("yarn needs more than 1"));
  CHECK_THAT(fault_of(rope("\"partial_rotary_factor\": 0.5")), Contains("0.5 is not supported (1 is)"));
}

TEST_CASE("model shape: sizes that are missing, ill-typed, absurd or do not fit are refused by key") {
  CHECK_THAT(fault_with("\"num_hidden_layers\": 2,", ""), Contains("'num_hidden_layers': missing"));
  for (const char* value : {"\"2\"", "2.0", "true", "{}", "[2]"}) {
    CHECK_THAT(fault_with("97", value), Contains("'vocab_size': expected an integer"));
  }
  for (const char* value : {"0", "-1", "16777217", "9223372036854775808", "18446744073709551615"}) {
    CHECK_THAT(fault_with("97", value),
               Contains(concat("'vocab_size': out of range: ", value, ", expected 1 to ")));
  }
  CHECK_THAT(fault_with("97", "1e99"), Contains("expected an integer"));
  CHECK_THAT(fault_with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2147483648"),
             Contains("1 to 4096"));
  CHECK_THAT(fault_of(least_config("\"num_key_value_heads\": 3, ")), Contains("3 does not divide"));
  CHECK_THAT(fault_of(least_config("\"head_dim\": 7, ")), Contains("'head_dim': is 7, must be even"));
  CHECK_THAT(fault_with("\"hidden_size\": 32", "\"hidden_size\": 2"),
             Contains("'head_dim': is 0, must be even"));
  for (const char* value : {"0", "-1", "\"x\""}) {
    CHECK_THAT(fault_of(least_config(concat("\"rms_norm_eps\": ", value, ", "))), Contains("rms_norm_eps"));
    CHECK_THAT(fault_of(least_config(concat("\"rope_theta\": ", value, ", "))), Contains("rope_theta"));
  }
  CHECK_THAT(fault_of(least_config("\"tie_word_embeddings\": 1, ")), Contains("tie_word_embeddings"));
}

}  // namespace
}  // namespace foresight
