// How a model's rotary position embedding is stretched beyond the length it was trained on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/model_files/config_json.h"

namespace foresight {

enum class RopeType {
  kDefault,   ///< Su et al. 2021
  kLinear,    ///< frequencies divided by `factor` (Chen et al. 2023)
  kDynamic,   ///< the base grows with the length once it exceeds the trained one ("NTK-aware")
  kYarn,      ///< Peng et al. 2023
  kLongRope,  ///< Ding et al. 2024: each frequency divided by a factor of its own, others beyond the trained
              ///< length
  kLlama3,    ///< low frequencies divided by `factor`, high ones left, a smooth passage between
};

/// rope_parameters (or, as older files have it, rope_scaling and rope_theta) of config.json.
struct RopeParameters {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  std::int64_t original_positions = 0;  ///< the length trained on; 0 with kDefault
  double low_frequency_factor = 1.0;    ///< kLlama3
  double high_frequency_factor = 4.0;   ///< kLlama3
  double fast_rotations = 32.0;         ///< kYarn, beta_fast
  double slow_rotations = 1.0;          ///< kYarn, beta_slow
  bool whole_dimensions = true;         ///< kYarn, truncate: the ramp's ends are rounded outwards
  double attention_factor = 1.0;        ///< cosine and sine are multiplied by it
  double rotated_share = 1.0;           ///< of a head's dimensions, the first ones
  std::vector<double> short_factors;    ///< kLongRope, of each frequency, up to the length trained on
  std::vector<double> long_factors;     ///< kLongRope, beyond it

  /// Whether a longer text has other frequencies: a key keeps those that it was cached with.
  bool depends_on_length() const { return type == RopeType::kDynamic || type == RopeType::kLongRope; }
};

/// How a family states its rotation: what holds where its config.json does not say, and which part counts.
struct RopeSource {
  double theta = 10000.0;
  const char* theta_key = "rope_theta";
  const char* section = nullptr;  ///< the member of rope_parameters that holds the parameters; null: itself
  bool has_scaling = true;        ///< the older layout's rope_scaling is for these layers
  bool phi = false;               ///< the types are default and longrope
  double usual_share = 1.0;       ///< of the dimensions that are rotated
  bool partial = false;           ///< a part of them may be
};

/// `max_positions` is the file's max_position_embeddings. Throws Error(kInput) naming file and key: a type
/// that is not supported (by name), a parameter that its type needs and is missing, no number or out of
/// range.
RopeParameters read_rope_parameters(const ConfigJson& config, std::int64_t max_positions,
                                    const RopeSource& source = {});

/// The longest text these parameters are made for, in tokens: `max_positions`, or `factor` times the length
/// trained on where that is more (the convention of linear, dynamic and yarn; llama3 and longrope state the
/// stretched length itself).
std::int64_t longest_text(const RopeParameters& rope, std::int64_t max_positions);

}  // namespace foresight
