// The evaluation's measures on text that policies generate or decode themselves, as configured.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// The policies of a set that can generate text, each name once: golden needs the future.
std::vector<Policy> generating_policies(const PolicySet& set);

/// The block "generation": problems, continued prompts and passkeys; an empty object if none is configured.
nlohmann::ordered_json measured_generation(const Config& config, const Transformer& model,
                                           const Tokenizer& tokenizer, const PolicySet& set,
                                           const std::vector<RecordedTrace>& traces);

/// The block "recall"; null where no facts are planted.
nlohmann::ordered_json measured_recall(const Config& config, const Transformer& model,
                                       const Tokenizer& tokenizer, const PolicySet& set);

}  // namespace foresight
