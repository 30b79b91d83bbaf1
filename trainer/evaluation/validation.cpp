#include "trainer/evaluation/validation.h"

#include <memory>

#include "trainer/config/run_layout.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/traces/shared_traces.h"

namespace foresight {

Validation make_validation(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                           World& world) {
  if (config.data.validation_traces == 0) return {traces_fingerprint({}), {}};
  const auto traces = std::make_shared<const std::vector<RecordedTrace>>(
      load_shared_traces(world, RunFolder{config.output}.oracle(), "validation",
                         config.data.validation_traces, model.fingerprint(), tokenizer.fingerprint()));
  require_losses_of(*traces, model.dtype_name());
  const EvaluationOptions options{.size = config.eviction,
                                  .low_entropy_share = config.grpo.low_entropy_share,
                                  .rows_per_pass = config.evaluation.rows_per_pass};
  return {traces_fingerprint(*traces), [traces, options, &model, &world](const Scorer& scorer) {
            const auto results =
                evaluate_policies(model, *traces, {scorer_policy("validation", scorer)}, options, world);
            return ValidationRise{results[1].loss_rise, results[1].low_entropy_loss_rise};
          }};
}

}  // namespace foresight
