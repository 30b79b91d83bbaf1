// The parts of evaluation.json (docs/evaluation.md), from scored results.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/scoring.h"

namespace foresight {

/// One object per policy by name, in the order of `results`: figures, per-trace rises, and the difference to
/// the best hand-written rule with its paired interval (seeded by `seed`); for grpo also that to supervised.
/// Measures that were not taken are left out, and differences over a single trace, which have no interval.
nlohmann::ordered_json policies_json(const std::vector<PolicyResult>& results, std::uint64_t seed);

/// The block "cost": memory and speed of each policy at each context length.
nlohmann::ordered_json cost_json(const std::vector<PolicyCost>& costs, const CostOptions& options,
                                 std::int64_t threads);

/// A difference as a sentence: "loses 0.0178 nats less than rkv (95 % interval 0.0139 to 0.0221, paired over
/// 16 traces)", or that it is not significant.
std::string difference_sentence(const Interval& difference, const std::string& baseline, std::int64_t traces);

/// The policies of an evaluation.json as a table for a terminal.
std::string evaluation_table(const nlohmann::ordered_json& evaluation);

}  // namespace foresight
