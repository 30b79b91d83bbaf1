#include "trainer/model_files/model_shape.h"

#include <nlohmann/json.hpp>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

// No model comes near these; they keep products of sizes within int64.
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 24;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 31;

/// Typed look-ups in one config.json; every fault names file and key.
class ConfigJson {
 public:
  explicit ConfigJson(const std::filesystem::path& file) : file_(file.string()) {
    auto json = read_model_json(file);
    if (!json) {
      throw Error(ErrorKind::kInput, file_ + ": not there; is this a Hugging Face model folder?");
    }
    json_ = std::move(*json);
  }
  bool has(const char* key) const { return !get(key).is_null(); }
  /// A null value where the key is absent.
  const Json& get(const char* key) const { return field(json_, key, file_); }
  std::int64_t count(const char* key, std::int64_t largest) const {
    const Json& value = get(key);
    if (value.is_null()) fail(key, "missing");
    if (!value.is_number_integer()) fail(key, "expected an integer, got " + shown_json(value));
    if (value < 1 || value > largest) {
      fail(key, concat("out of range: ", value.dump(), ", expected 1 to ", largest));
    }
    return value.get<std::int64_t>();
  }
  std::int64_t count(const char* key, std::int64_t largest, std::int64_t when_absent) const {
    return has(key) ? count(key, largest) : when_absent;
  }
  double positive(const Json& object, const char* key, double when_absent) const {
    const Json& value = field(object, key, file_);
    if (value.is_null()) return when_absent;
    if (!value.is_number()) fail(key, "expected a number, got " + shown_json(value));
    if (!(value.get<double>() > 0)) fail(key, "must be positive, got " + shown_json(value));
    return value.get<double>();
  }
  bool flag(const char* key) const { return bool_field(json_, key, /*when_absent=*/false, file_); }
  std::int64_t token_id(const Json& value, const char* key) const { return token_id_of(value, key, file_); }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw Error(ErrorKind::kInput, concat(file_, ": key '", key, "': ", what));
  }
  const Json& json() const { return json_; }

 private:
  std::string file_;
  Json json_;
};

/// The one architecture of the file; empty where it names none or several.
std::string architecture_of(const ConfigJson& config) {
  const Json& names = config.get("architectures");
  const bool one = names.is_array() && names.size() == 1 && names[0].is_string();
  return one ? names[0].get<std::string>() : "";
}

double read_rope_theta(const ConfigJson& config) {
  static const Json kNone = Json::object();
  const Json* rope = &kNone;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.has(key)) continue;
    if (!config.get(key).is_object()) config.fail(key, "expected an object");
    rope = &config.get(key);
    break;
  }
  std::string type = "default";
  for (const char* key : {"rope_type", "type"}) {
    const auto found = rope->find(key);
    if (found != rope->end() && found->is_string()) type = found->get<std::string>();
  }
  if (type != "default") {
    config.fail("rope_parameters.rope_type", "'" + one_line(type) + "' is not supported (default is)");
  }
  return config.positive(*rope, "rope_theta", config.positive(config.json(), "rope_theta", 10000.0));
}

void read_sizes(const ConfigJson& config, ModelShape& shape) {
  shape.layers = config.count("num_hidden_layers", kMaxLayers);
  shape.query_heads = config.count("num_attention_heads", kMaxHeads);
  shape.kv_heads = config.count("num_key_value_heads", kMaxHeads, shape.query_heads);
  shape.hidden_size = config.count("hidden_size", kMaxWidth);
  shape.intermediate_size = config.count("intermediate_size", kMaxWidth);
  shape.vocabulary_size = config.count("vocab_size", kMaxWidth);
  shape.max_positions = config.count("max_position_embeddings", kMaxPositions, 2048);
  shape.head_dimension = config.count("head_dim", kMaxWidth, shape.hidden_size / shape.query_heads);
  if (shape.query_heads % shape.kv_heads != 0) {
    config.fail("num_key_value_heads",
                concat(shape.kv_heads, " does not divide num_attention_heads ", shape.query_heads));
  }
  if (shape.head_dimension < 2 || shape.head_dimension % 2 != 0) {
    config.fail("head_dim", concat("is ", shape.head_dimension, ", must be even for rotary embeddings"));
  }
}

}  // namespace

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const ConfigJson config(folder / "config.json");
  ModelShape shape;
  shape.architecture = architecture_of(config);
  if (shape.architecture != "LlamaForCausalLM") {
    config.fail("architectures",
                "'" + one_line(shape.architecture) + "' is not supported (LlamaForCausalLM is)");
  }
  if (config.json().contains("hidden_act") && config.get("hidden_act") != "silu") {
    config.fail("hidden_act", shown_json(config.get("hidden_act")) + " is not supported (silu is)");
  }
  if (config.flag("mlp_bias")) config.fail("mlp_bias", "true is not supported");
  read_sizes(config, shape);
  shape.norm_epsilon = config.positive(config.json(), "rms_norm_eps", 1e-6);
  shape.tied_embeddings = config.flag("tie_word_embeddings");
  shape.attention_bias = config.flag("attention_bias");
  shape.rope_theta = read_rope_theta(config);
  const Json& beginning = config.get("bos_token_id");
  if (beginning.is_number_integer()) shape.beginning_of_sequence = config.token_id(beginning, "bos_token_id");
  const Json& ends = config.get("eos_token_id");
  if (ends.is_array()) {
    for (const Json& id : ends) shape.end_of_sequence.push_back(config.token_id(id, "eos_token_id"));
  } else if (!ends.is_null()) {
    shape.end_of_sequence.push_back(config.token_id(ends, "eos_token_id"));
  }
  return shape;
}

}  // namespace foresight
