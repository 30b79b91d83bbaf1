// The validation traces, on which the training stages measure a scorer.
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"
#include "trainer/training/validation.h"

namespace foresight {

/// Opens the recorded validation traces (the split "validation" of the oracle stage); none where
/// data.validation_traces is 0. A scorer is measured as a policy on them; the traces are assigned to ranks.
/// Model and world must outlive the result. Throws Error(kInput) when they are not recorded or belong to
/// another model.
Validation make_validation(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                           World& world);

}  // namespace foresight
