// The training stages with the validation that they choose their best checkpoint by.
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// train_supervised() (trainer/supervised/supervised_stage.h), validated by trainer/evaluation.
void run_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world);
/// train_grpo() (rl/grpo_stage.h), validated likewise.
void run_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world);

}  // namespace foresight
