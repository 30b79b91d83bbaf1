// How the training stages judge a scorer on held-out traces, without knowing how that is measured.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "trainer/scorer/scorer.h"

namespace foresight {

/// What a scorer costs on the validation traces, in nats a token.
struct ValidationRise {
  double loss_rise = 0;
  double low_entropy_loss_rise = 0;
};

/// The validation traces, by which both training stages choose their best checkpoint. Made by the app
/// (trainer/evaluation/validation.h).
class Validation {
 public:
  using Measure = std::function<ValidationRise(const Scorer&)>;
  /// `fingerprint`: of the traces. `measure`: empty where there are none.
  Validation(std::string fingerprint, Measure measure)
      : fingerprint_(std::move(fingerprint)), measure_(std::move(measure)) {}

  const std::string& fingerprint() const { return fingerprint_; }

  /// Judges `scorer`, a collective; nothing where there are no validation traces. The figures are added to
  /// `metrics` as eval_loss_rise and eval_low_entropy_loss_rise.
  std::optional<ValidationRise> measure(const Scorer& scorer, nlohmann::ordered_json& metrics) const {
    if (!measure_) return std::nullopt;
    const ValidationRise rise = measure_(scorer);
    metrics["eval_loss_rise"] = rise.loss_rise;
    metrics["eval_low_entropy_loss_rise"] = rise.low_entropy_loss_rise;
    return rise;
  }

 private:
  std::string fingerprint_;
  Measure measure_;
};

}  // namespace foresight
