// The supervised stage: the scorer learns the oracle's ranking (paper section 3.2).
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/scorer/scorer.h"
#include "trainer/text/tokenizer.h"
#include "trainer/training/validation.h"

namespace foresight {

/// Reads `<output>/oracle`, writes `<output>/supervised`: checkpoints, metrics, and with cached features a
/// folder of states. Resumes exactly. Replay and traces of a step are dealt out to ranks; how many these are
/// changes nothing. Throws Error(kInterrupted) after a stop signal (what is done is kept), Error(kNumeric)
/// for scores or gradients that are not finite.
void train_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                      const Validation& validation, World& world);

/// The scorer that scorer.initial names. Throws Error(kInput) for a file that cannot be read or is of another
/// model's shape, Error(kConfig) for other features than scorer.features.
Scorer load_initial_scorer(const Config& config, const ModelShape& shape);

}  // namespace foresight
