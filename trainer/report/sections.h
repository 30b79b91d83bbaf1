// The parts of the report's page. Each function gives HTML, empty when the data for it is missing.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/evaluation_data.h"
#include "trainer/report/metrics_rows.h"

namespace foresight {

/// Model, dtype, budget, window, traces, tokens and code version on one line.
std::string facts_line(const EvaluationData& data);
/// The main table, and what it says of the difference to the best rule in sentences.
std::string results_section(const EvaluationData& data);
/// Loss rise against budget: the sweep, and the main budget where the sweep lacks it.
std::string budget_section(const EvaluationData& data);
/// Loss rise against the length of the context.
std::string context_section(const EvaluationData& data);
/// How unevenly the rise is spread over the tokens.
std::string tails_section(const EvaluationData& data);
/// Survival of the prompt, choices at golden's cut, churn.
std::string held_section(const EvaluationData& data);
/// Recall of planted facts over evictions.
std::string recall_section(const EvaluationData& data);
/// The curves of both training stages.
std::string training_section(const std::vector<MetricsRow>& supervised, const std::vector<MetricsRow>& grpo);
/// Share of attention kept, by layer and KV head.
std::string heads_section(const EvaluationData& data);
/// What each policy kept of one trace, shown on its tokens.
std::string tokens_section(const EvaluationData& data);
/// Accuracy of generated answers, and passkeys found.
std::string generation_section(const EvaluationData& data);
/// Memory and speed.
std::string cost_section(const EvaluationData& data);
/// What training itself took.
std::string training_cost_section(const EvaluationData& data);

}  // namespace foresight
