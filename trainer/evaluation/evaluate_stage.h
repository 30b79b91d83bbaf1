// The evaluate stage: the configured policies on the held-out traces, as evaluation.json and a table.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// The scorer file that a policy name stands for: "supervised" and "grpo" are the best checkpoints of their
/// stages, a path is itself; empty for a rule. Throws Error(kInput) when a stage has no checkpoint.
std::filesystem::path scorer_file_of_policy(const Config& config, const std::string& name);

/// Runs evaluation.policies on the recorded evaluation traces at eviction.budget and at evaluation.budgets,
/// and writes `<output>/evaluation.json` (docs/evaluation.md). If the file already has results for the same
/// inputs, it is kept. Traces are assigned to ranks; only rank 0 measures cost and generates text. Returns
/// the file's content.
nlohmann::ordered_json run_evaluate(const Config& config, const Transformer& model,
                                    const Tokenizer& tokenizer, World& world);

}  // namespace foresight
