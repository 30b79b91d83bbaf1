// The RL stage: GRPO fine-tunes the scorer as the policy of a Markov decision process (paper section 3.3).
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"
#include "trainer/training/validation.h"

namespace foresight {

/// Reads `<output>/oracle` and the scorer it starts from (grpo.start, or the best supervised checkpoint),
/// writes `<output>/grpo`. Resumes exactly. The rollouts of a step are assigned to ranks; the number of ranks
/// changes no result. Throws Error(kInterrupted) after a stop signal, with a checkpoint saved.
void train_grpo(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const Validation& validation, World& world);

}  // namespace foresight
