// The validation traces, by which both training stages choose their best checkpoint.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/evaluation/side_by_side.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// What a scorer costs on the validation traces.
struct ValidationRise {
  double loss_rise = 0;
  double low_entropy_loss_rise = 0;
};

/// Held-out training traces (the split "validation" of the oracle stage), ready to be evaluated on.
class Validation {
 public:
  /// Opens the recorded traces; none where data.validation_traces is 0. Throws Error(kInput) when they are
  /// not recorded or belong to another model.
  Validation(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world);

  /// traces_fingerprint() of the validation traces.
  std::string fingerprint() const { return traces_fingerprint(traces_); }

  /// Runs `scorer` as a policy, the traces dealt out to ranks; nothing where there are no validation traces.
  /// The figures are added to `metrics` as eval_loss_rise and eval_low_entropy_loss_rise.
  std::optional<ValidationRise> measure(const Scorer& scorer, nlohmann::ordered_json& metrics) const;

 private:
  const Transformer* model_;
  World* world_;
  EvaluationOptions options_;
  std::vector<RecordedTrace> traces_;
};

}  // namespace foresight
