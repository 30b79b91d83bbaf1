#include "trainer/evaluation/validation.h"

#include <filesystem>

#include "golden_eviction/shared_traces.h"

namespace foresight {

Validation::Validation(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                       World& world)
    : model_(&model),
      world_(&world),
      options_{.size = {config.eviction.budget, config.eviction.window},
               .low_entropy_share = config.grpo.low_entropy_share,
               .rows_per_pass = config.evaluation.rows_per_pass} {
  if (config.data.validation_traces == 0) return;
  traces_ = load_shared_traces(world, std::filesystem::path(config.output) / "oracle", "validation",
                               config.data.validation_traces, model.fingerprint(), tokenizer.fingerprint());
  require_losses_of(traces_, model.dtype_name());
}

std::optional<ValidationRise> Validation::measure(const Scorer& scorer,
                                                  nlohmann::ordered_json& metrics) const {
  if (traces_.empty()) return std::nullopt;
  const auto results =
      evaluate_policies(*model_, traces_, {scorer_policy("validation", scorer)}, options_, *world_);
  const ValidationRise rise{results[1].loss_rise, results[1].low_entropy_loss_rise};
  metrics["eval_loss_rise"] = rise.loss_rise;
  metrics["eval_low_entropy_loss_rise"] = rise.low_entropy_loss_rise;
  return rise;
}

}  // namespace foresight
