#include "trainer/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "trainer/model/row_functions.h"

namespace foresight {
namespace {

/// theta^(-2 i / d) for each pair i of dimensions.
torch::Tensor plain_frequencies(double theta, std::int64_t d) {
  const torch::Tensor exponent = torch::arange(0, d, 2, torch::kFloat32) / static_cast<double>(d);
  return torch::pow(theta, exponent).reciprocal();
}

/// The base for a text longer than the model was trained on ("NTK-aware" interpolation).
double grown_theta(const RopeParameters& rope, std::int64_t d, std::int64_t tokens) {
  const double length = static_cast<double>(std::max(tokens, rope.original_positions));
  const double stretch =
      rope.factor * length / static_cast<double>(rope.original_positions) - (rope.factor - 1.0);
  return rope.theta *
         std::pow(stretch, static_cast<double>(d) / static_cast<double>(std::max<std::int64_t>(d - 2, 1)));
}

/// Peng et al. 2023, section 3.2: dimensions that turn often keep their frequency, those that turn less than
/// once are divided by the factor, with a ramp between.
torch::Tensor yarn_frequencies(const RopeParameters& rope, std::int64_t d) {
  const auto dimension_of = [&](double rotations) {
    return static_cast<double>(d) *
           std::log(static_cast<double>(rope.original_positions) / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(rope.theta));
  };
  double low = dimension_of(rope.fast_rotations), high = dimension_of(rope.slow_rotations);
  if (rope.whole_dimensions) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(d - 1));
  if (low == high) high += 0.001;  // as transformers does: a step instead of a ramp
  const torch::Tensor interpolated =
      ((torch::arange(d / 2, torch::kFloat32) - low) / (high - low)).clamp(0.0, 1.0);
  const torch::Tensor plain = plain_frequencies(rope.theta, d);
  return plain / rope.factor * interpolated + plain * (1.0 - interpolated);
}

/// Wavelengths beyond original / low_frequency_factor are stretched, those below original /
/// high_frequency_factor kept, linear in the inverse wavelength between.
torch::Tensor llama3_frequencies(const RopeParameters& rope, std::int64_t d) {
  const torch::Tensor plain = plain_frequencies(rope.theta, d);
  const torch::Tensor turns =
      plain * (static_cast<double>(rope.original_positions) / (2.0 * std::numbers::pi));
  const torch::Tensor kept =
      ((turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor))
          .clamp(0.0, 1.0);
  return plain / rope.factor * (1.0 - kept) + plain * kept;
}

/// Ding et al. 2024: a factor for each frequency, found by search for short texts and for long ones.
torch::Tensor long_rope_frequencies(const RopeParameters& rope, std::int64_t d, std::int64_t tokens) {
  const std::vector<double>& factors =
      tokens > rope.original_positions ? rope.long_factors : rope.short_factors;
  return plain_frequencies(rope.theta, d) / torch::tensor(factors, torch::kFloat32);
}

}  // namespace

torch::Tensor rotary_frequencies(const RopeParameters& rope, std::int64_t rotated_dimensions,
                                 std::int64_t tokens) {
  switch (rope.type) {
    case RopeType::kDefault:
      break;
    case RopeType::kLinear:
      return plain_frequencies(rope.theta, rotated_dimensions) / rope.factor;
    case RopeType::kDynamic:
      return plain_frequencies(grown_theta(rope, rotated_dimensions, tokens), rotated_dimensions);
    case RopeType::kYarn:
      return yarn_frequencies(rope, rotated_dimensions);
    case RopeType::kLongRope:
      return long_rope_frequencies(rope, rotated_dimensions, tokens);
    case RopeType::kLlama3:
      return llama3_frequencies(rope, rotated_dimensions);
  }
  return plain_frequencies(rope.theta, rotated_dimensions);
}

torch::Tensor frequencies_at(const RopeParameters& rope, const torch::Tensor& usual, std::int64_t tokens) {
  if (!rope.depends_on_length() || tokens <= rope.original_positions) return usual;
  return rotary_frequencies(rope, 2 * usual.size(0), tokens).to(usual.device());
}

KeyRotation::KeyRotation(const ModelShape& shape, const torch::Device& device)
    : rope_(shape.rope), usual_(rotary_frequencies(shape.rope, shape.rotated_dimensions, 0).to(device)) {
  for (const std::int64_t number : shape.evicting_layer_numbers())
    turns_.push_back(shape.rotated_dimensions > 0 && shape.kind(number).rotates);
}

torch::Tensor KeyRotation::frequencies(std::int64_t layer, std::int64_t tokens) const {
  return turns_.at(static_cast<std::size_t>(layer)) ? frequencies_at(rope_, usual_, tokens) : torch::Tensor();
}

torch::Tensor relative_keys(const torch::Tensor& keys, const torch::Tensor& frequencies,
                            std::int64_t newest) {
  if (!frequencies.defined()) return keys.to(torch::kFloat32);
  const std::int64_t turned = 2 * frequencies.size(0), left = keys.size(3) - turned;
  const torch::Tensor angles = frequencies * static_cast<double>(-newest);
  const auto for_all = [&](const torch::Tensor& one) {
    return one.expand({1, 1, keys.size(2), -1}).contiguous();
  };
  const torch::Tensor front = rotate(keys.narrow(3, 0, turned), for_all(angles.cos()), for_all(angles.sin()));
  return left == 0 ? front : torch::cat({front, keys.narrow(3, turned, left).to(torch::kFloat32)}, 3);
}

}  // namespace foresight
