#include "trainer/model_files/rope_parameters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

constexpr double kLargestFactor = 1e6;
constexpr std::int64_t kMostPositions = std::int64_t{1} << 31;

/// A type's name in config.json, and whether it is one of Phi-3's.
struct NamedType {
  const char* name;
  RopeType type;
  bool phi;
};
constexpr std::array<NamedType, 8> kTypes = {{{"default", RopeType::kDefault, false},
                                              {"linear", RopeType::kLinear, false},
                                              {"dynamic", RopeType::kDynamic, false},
                                              {"yarn", RopeType::kYarn, false},
                                              {"llama3", RopeType::kLlama3, false},
                                              {"default", RopeType::kDefault, true},
                                              {"longrope", RopeType::kLongRope, true},
                                              {"su", RopeType::kLongRope, true}}};

/// The object that holds the parameters, and how messages call it.
class RopeJson {
 public:
  RopeJson(const ConfigJson& config, const RopeSource& source) : config_(config) {
    for (const char* key : {"rope_parameters", "rope_scaling"}) {
      if (!config.has(key)) continue;
      if (!config.get(key).is_object()) config.fail(key, "expected an object");
      const bool older = key != std::string("rope_parameters");
      if (older && !source.has_scaling) return;
      object_ = &config.get(key);
      name_ = key;
      if (!older && source.section != nullptr) enter(source.section);
      return;
    }
  }
  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    config_.fail(concat(name_, ".", key), what);
  }
  /// A null value where the key is absent.
  const Json& get(const char* key) const { return field(*object_, key, config_.file()); }
  double positive(const char* key, double when_absent) const {
    return config_.positive_value(get(key), concat(name_, ".", key), when_absent);
  }
  double needed(const char* key) const {
    if (get(key).is_null()) fail(key, "missing; this rope type needs it");
    return positive(key, 0.0);
  }
  /// A list of positive numbers.
  std::vector<double> needed_list(const char* key) const {
    if (!get(key).is_array()) fail(key, "expected a list of numbers, got " + shown_json(get(key)));
    std::vector<double> numbers;
    for (const Json& number : get(key))
      numbers.push_back(config_.positive_value(number, concat(name_, ".", key), 0.0));
    return numbers;
  }
  RopeType type(bool phi) const {
    std::string wanted = "default";
    for (const char* key : {"type", "rope_type"}) {  // the newer name last: it decides
      if (get(key).is_null()) continue;
      if (!get(key).is_string()) fail(key, "expected a text, got " + shown_json(get(key)));
      wanted = get(key).get<std::string>();
    }
    for (const NamedType& known : kTypes) {
      if (known.phi == phi && wanted == known.name) return known.type;
    }
    fail("rope_type",
         concat("'", one_line(wanted), "' is not supported (",
                phi ? "default and longrope" : "default, linear, dynamic, yarn and llama3", " are)"));
  }

 private:
  /// The parameters stand one object deeper: one for each kind of attention.
  void enter(const char* section) {
    const Json& inner = field(*object_, section, config_.file());
    if (!inner.is_object()) fail(section, "expected an object, got " + shown_json(inner));
    object_ = &inner;
    name_ = concat(name_, ".", section);
  }

  inline static const Json kNone = Json::object();
  const ConfigJson& config_;
  const Json* object_ = &kNone;
  std::string name_ = "rope_parameters";
};

/// What yarn multiplies cosine and sine by (Peng et al. 2023, equation 22), where the file does not say.
double yarn_attention_factor(const RopeJson& json, double factor) {
  const auto scale = [factor](double weight) {
    return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  const double stated = json.positive("attention_factor", 0.0);
  if (stated > 0.0) return stated;
  if (json.get("mscale").is_null() || json.get("mscale_all_dim").is_null()) return scale(1.0);
  return scale(json.positive("mscale", 1.0)) / scale(json.positive("mscale_all_dim", 1.0));
}

std::int64_t original_positions(const ConfigJson& config, const RopeJson& json, std::int64_t max_positions) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (config.has(kKey)) return config.count(kKey, kMostPositions);
  const Json& value = json.get(kKey);
  if (value.is_null()) return max_positions;
  if (!value.is_number_integer() || value < 1 || value > kMostPositions) {
    json.fail(kKey, concat("expected 1 to ", kMostPositions, ", got ", shown_json(value)));
  }
  return value.get<std::int64_t>();
}

void read_llama3(const RopeJson& json, RopeParameters& rope) {
  rope.low_frequency_factor = json.needed("low_freq_factor");
  rope.high_frequency_factor = json.needed("high_freq_factor");
  if (rope.high_frequency_factor <= rope.low_frequency_factor) {
    json.fail("high_freq_factor", concat(rope.high_frequency_factor, ", expected more than low_freq_factor ",
                                         rope.low_frequency_factor));
  }
}

void read_yarn(const ConfigJson& config, const RopeJson& json, RopeParameters& rope) {
  rope.fast_rotations = json.positive("beta_fast", rope.fast_rotations);
  rope.slow_rotations = json.positive("beta_slow", rope.slow_rotations);
  if (rope.fast_rotations < rope.slow_rotations) {
    json.fail("beta_fast",
              concat(rope.fast_rotations, ", expected at least beta_slow ", rope.slow_rotations));
  }
  const Json& truncate = json.get("truncate");
  if (!truncate.is_null() && !truncate.is_boolean()) json.fail("truncate", "expected true or false");
  rope.whole_dimensions = truncate.is_null() || truncate.get<bool>();
  rope.attention_factor = yarn_attention_factor(json, rope.factor);
  if (rope.theta <= 1.0) config.fail("rope_theta", concat("is ", rope.theta, ", yarn needs more than 1"));
}

/// Phi-3: a list of factors for texts up to the trained length, one for longer ones.
void read_long_rope(const ConfigJson& config, const RopeJson& json, std::int64_t max_positions,
                    RopeParameters& rope) {
  rope.short_factors = json.needed_list("short_factor");
  rope.long_factors = json.needed_list("long_factor");
  rope.original_positions = original_positions(config, json, max_positions);
  const double stretch = json.positive(
      "factor", static_cast<double>(max_positions) / static_cast<double>(rope.original_positions));
  const double usual =
      stretch <= 1.0
          ? 1.0
          : std::sqrt(1.0 + std::log(stretch) / std::log(static_cast<double>(rope.original_positions)));
  rope.attention_factor = json.positive("attention_factor", usual);
}

}  // namespace

RopeParameters read_rope_parameters(const ConfigJson& config, std::int64_t max_positions,
                                    const RopeSource& source) {
  const RopeJson json(config, source);
  RopeParameters rope;
  rope.type = json.type(source.phi);
  rope.theta = json.positive("rope_theta", config.positive(source.theta_key, source.theta));
  rope.rotated_share =
      json.positive("partial_rotary_factor", config.positive("partial_rotary_factor", source.usual_share));
  if (source.partial ? rope.rotated_share > 1.0 : rope.rotated_share != 1.0) {
    json.fail("partial_rotary_factor",
              concat(rope.rotated_share, " is not supported (", source.partial ? "at most 1" : "1", " is)"));
  }
  if (rope.type == RopeType::kDefault) return rope;
  if (rope.type == RopeType::kLongRope) {
    read_long_rope(config, json, max_positions, rope);
    return rope;
  }
  rope.factor = json.needed("factor");
  if (rope.factor < 1.0 || rope.factor > kLargestFactor) {
    json.fail("factor", concat(rope.factor, ", expected 1 to ", kLargestFactor));
  }
  const bool states_length = rope.type == RopeType::kYarn || rope.type == RopeType::kLlama3;
  rope.original_positions = states_length ? original_positions(config, json, max_positions) : max_positions;
  if (rope.type == RopeType::kLlama3) read_llama3(json, rope);
  if (rope.type == RopeType::kYarn) read_yarn(config, json, rope);
  return rope;
}

std::int64_t longest_text(const RopeParameters& rope, std::int64_t max_positions) {
  const bool states_longest =
      rope.type == RopeType::kDefault || rope.type == RopeType::kLlama3 || rope.type == RopeType::kLongRope;
  if (states_longest) return max_positions;
  const double stretched = rope.factor * static_cast<double>(rope.original_positions);
  return std::max(max_positions, static_cast<std::int64_t>(std::min(stretched, 1e15)));
}

}  // namespace foresight
