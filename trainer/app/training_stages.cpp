#include "trainer/app/training_stages.h"

#include "rl/grpo_stage.h"
#include "trainer/evaluation/validation.h"
#include "trainer/supervised/supervised_stage.h"

namespace foresight {

void run_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                    World& world) {
  train_supervised(config, model, tokenizer, make_validation(config, model, tokenizer, world), world);
}

void run_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world) {
  train_grpo(config, model, tokenizer, make_validation(config, model, tokenizer, world), world);
}

}  // namespace foresight
