// One prompt continued in several rows at once, each under a policy of its own.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "trainer/generation/generate.h"

namespace foresight {

/// Continues `prompt` [L] in as many rows as there are `samplings`; row r draws from randoms[r]. `select`
/// sees all rows at once (trainer/evaluation side_by_side makes one of several policies); without it every
/// row has the full cache. Rows run in step until all have ended; a row's samples do not depend on the other
/// rows. Returns the new tokens of each row, the ending one included. Throws as generate().
std::vector<std::vector<std::int32_t>> generate_rows(
    const Transformer& model, const std::vector<std::int32_t>& prompt,
    const std::optional<EvictionSelector>& select, const CacheSize& size,
    const std::vector<SamplingOptions>& samplings, const GenerationLimits& limits,
    std::vector<RandomStream> randoms, const std::function<void(std::int64_t)>& on_tokens = {});

}  // namespace foresight
