#include "trainer/model_files/model_shape.h"

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
  CHECK(shape.rope_theta == 10000.0);
  CHECK(shape.norm_epsilon == 1e-5);
  CHECK(shape.tied_embeddings);
  CHECK_FALSE(shape.attention_bias);
  CHECK(shape.beginning_of_sequence == 1);
  CHECK(shape.end_of_sequence == std::vector<std::int64_t>{2});
}

TEST_CASE("model shape: what is left out has the defaults of transformers") {
  const ModelShape shape = shape_of(least_config("\"bos_token_id\": null, "));
  CHECK(shape.kv_heads == 4);
  CHECK(shape.head_dimension == 8);
  CHECK(shape.max_positions == 2048);
  CHECK(shape.norm_epsilon == 1e-6);
  CHECK_FALSE(shape.tied_embeddings);
  CHECK(shape.beginning_of_sequence == -1);
  CHECK(shape.end_of_sequence.empty());
  const ModelShape more = shape_of(least_config(
      R"("rope_scaling": {"type": "default", "rope_theta": 5e5}, "eos_token_id": [7, 9], "head_dim": 6, )"));
  CHECK(more.rope_theta == 5e5);
  CHECK(more.end_of_sequence == std::vector<std::int64_t>{7, 9});
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
  CHECK_THAT(fault_of(least_config("\"vocab_size\": 1, ")), Contains("\"vocab_size\" stands there twice"));
  // A value this deep once overflowed the stack when a message showed it.
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  CHECK_THAT(fault_with("32", deep), Contains("nested deeper than 32"));
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
  CHECK_THAT(fault_of(least_config(R"("rope_parameters": {"rope_type": "yarn"}, )")),
             Contains("'yarn' is not supported"));
  CHECK_THAT(fault_of(least_config("\"rope_scaling\": 3, ")), Contains("rope_scaling': expected an object"));
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
  CHECK_THAT(fault_of(least_config("\"eos_token_id\": [1, -1], ")),
             Contains("eos_token_id: expected a token id"));
  CHECK_THAT(fault_of(least_config("\"eos_token_id\": {}, ")), Contains("eos_token_id: expected a token id"));
  CHECK_THAT(fault_of(least_config("\"bos_token_id\": -2, ")), Contains("bos_token_id: expected a token id"));
}

}  // namespace
}  // namespace foresight
