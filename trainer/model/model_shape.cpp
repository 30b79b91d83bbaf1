#include "trainer/model/model_shape.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

/// Typed look-ups in one config.json; every fault names file and key.
class ConfigJson {
 public:
  explicit ConfigJson(const std::filesystem::path& file) : file_(file.string()) {
    json_ = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
    if (!json_.is_object()) {
      throw Error(ErrorKind::kInput, file_ + ": not a JSON object; is this a Hugging Face model folder?");
    }
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  std::int64_t count(const char* key) const {
    if (!has(key)) fail(key, "missing");
    if (!json_[key].is_number_integer()) fail(key, "expected an integer, got " + json_[key].dump());
    const auto value = json_[key].get<std::int64_t>();
    if (value < 1 || value > (std::int64_t{1} << 31)) fail(key, concat("out of range: ", value));
    return value;
  }
  double number(const Json& object, const char* key, double fallback) const {
    if (!object.contains(key) || object[key].is_null()) return fallback;
    if (!object[key].is_number()) fail(key, "expected a number, got " + object[key].dump());
    return object[key].get<double>();
  }
  bool flag(const char* key) const {
    if (!has(key)) return false;
    if (!json_[key].is_boolean()) fail(key, "expected true or false, got " + json_[key].dump());
    return json_[key].get<bool>();
  }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::kInput, concat(file_, ": key '", key, "': ", what));
  }
  const Json& json() const { return json_; }

 private:
  std::string file_;
  Json json_;
};

void read_rope(const ConfigJson& config, ModelShape& shape) {
  const Json& json = config.json();
  Json rope = Json::object();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key)) continue;
    if (!json[key].is_object()) config.fail(key, "expected an object");
    rope = json[key];
    break;
  }
  std::string type = "default";
  for (const char* key : {"rope_type", "type"}) {
    if (rope.contains(key) && rope[key].is_string()) type = rope[key].get<std::string>();
  }
  if (type != "default")
    config.fail("rope_parameters.rope_type", "'" + type + "' is not supported (default is)");
  shape.rope_theta = config.number(rope, "rope_theta", config.number(json, "rope_theta", 10000.0));
  if (!(shape.rope_theta > 0)) config.fail("rope_theta", "must be positive");
}

}  // namespace

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const ConfigJson config(folder / "config.json");
  const Json& json = config.json();
  ModelShape shape;
  if (json.contains("architectures") && json["architectures"].is_array() &&
      json["architectures"].size() == 1 && json["architectures"][0].is_string()) {
    shape.architecture = json["architectures"][0].get<std::string>();
  }
  if (shape.architecture != "LlamaForCausalLM") {
    config.fail("architectures", "'" + shape.architecture + "' is not supported (LlamaForCausalLM is)");
  }
  if (json.value("hidden_act", Json("silu")) != Json("silu")) {
    config.fail("hidden_act", json["hidden_act"].dump() + " is not supported (silu is)");
  }
  if (config.flag("mlp_bias")) config.fail("mlp_bias", "true is not supported");
  shape.layers = config.count("num_hidden_layers");
  shape.query_heads = config.count("num_attention_heads");
  shape.kv_heads =
      config.has("num_key_value_heads") ? config.count("num_key_value_heads") : shape.query_heads;
  shape.hidden_size = config.count("hidden_size");
  shape.intermediate_size = config.count("intermediate_size");
  shape.vocabulary_size = config.count("vocab_size");
  shape.max_positions =
      config.has("max_position_embeddings") ? config.count("max_position_embeddings") : 2048;
  shape.head_dimension =
      config.has("head_dim") ? config.count("head_dim") : shape.hidden_size / shape.query_heads;
  shape.norm_epsilon = config.number(json, "rms_norm_eps", 1e-6);
  shape.tied_embeddings = config.flag("tie_word_embeddings");
  shape.attention_bias = config.flag("attention_bias");
  read_rope(config, shape);
  if (shape.query_heads % shape.kv_heads != 0) {
    config.fail("num_key_value_heads",
                concat(shape.kv_heads, " does not divide num_attention_heads ", shape.query_heads));
  }
  if (shape.head_dimension % 2 != 0) config.fail("head_dim", "must be even for rotary embeddings");
  if (config.has("bos_token_id") && json["bos_token_id"].is_number_integer()) {
    shape.beginning_of_sequence = json["bos_token_id"].get<std::int64_t>();
  }
  if (config.has("eos_token_id")) {
    const Json& eos = json["eos_token_id"];
    for (const Json& id : eos.is_array() ? eos : Json::array({eos})) {
      if (!id.is_number_integer()) config.fail("eos_token_id", "expected token ids, got " + eos.dump());
      shape.end_of_sequence.push_back(id.get<std::int64_t>());
    }
  }
  return shape;
}

}  // namespace foresight
