// The supervised stage: a scorer learns to rank cache entries as the golden plan does (paper section 3.2).
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Reads `<output>/oracle`, writes `<output>/supervised`: metrics.jsonl and checkpoints. Resumes exactly.
/// The traces of a step are dealt out to ranks; how many these are changes nothing. Throws
/// Error(kInterrupted) after a stop signal, with a checkpoint saved.
void run_supervised(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world);

}  // namespace foresight
