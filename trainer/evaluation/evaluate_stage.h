// The evaluate stage: the configured policies on the held-out traces, as evaluation.json and a table.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// The scorer file that a policy name stands for: "supervised" and "grpo" are the best checkpoints of their
/// stages, a path is itself; empty for a rule. Throws Error(kInput) when a stage has no checkpoint.
std::filesystem::path scorer_file_of_policy(const Config& config, const std::string& name);

/// Runs evaluation.policies on the recorded evaluation traces and writes `<output>/evaluation.json`
/// (docs/evaluation.md). Results that stand there for the same inputs are kept. Returns the results in the
/// order of evaluation.policies.
std::vector<PolicyResult> run_evaluate(const Config& config, const Transformer& model,
                                       const Tokenizer& tokenizer);

/// The results as a table for a terminal.
std::string evaluation_table(const Config& config, const std::vector<PolicyResult>& results);

}  // namespace foresight
