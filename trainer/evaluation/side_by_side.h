// Policies side by side on recorded traces: the loss that eviction costs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/evaluation/policies.h"

namespace foresight {

/// One policy's figures, pooled over traces (method.md section 10).
struct PolicyResult {
  std::string name;
  double loss = 0;                   ///< nats per scored token
  double loss_rise = 0;              ///< minus full KV
  double loss_ratio = 1;             ///< over full KV
  double low_entropy_loss_rise = 0;  ///< on the low-entropy share of the scored tokens
  std::int64_t tokens = 0;           ///< scored tokens
  std::int64_t traces = 0;
  std::vector<double> trace_loss_rise;  ///< per trace, for paired comparisons
};

/// What is scored and how much runs at once.
struct EvaluationOptions {
  CacheSize size;
  ScoreTokens score = ScoreTokens::kAll;
  double low_entropy_share = 0.8;
  std::int64_t rows_per_pass = 16;
};

/// Runs every policy on every trace; traces of one length share forward passes, and a trace's prefix is
/// computed once for all policies. The first result is always "full", from the recorded losses. Where a
/// budget holds whole traces and no token is touched by eviction, all tokens are scored and every policy
/// equals full KV. `on_tokens` (optional) is told tokens done of evaluation_tokens().
std::vector<PolicyResult> evaluate_policies(const Transformer& model,
                                            const std::vector<RecordedTrace>& traces,
                                            const std::vector<Policy>& policies,
                                            const EvaluationOptions& options,
                                            const std::function<void(std::int64_t)>& on_tokens = {});

/// Row tokens that evaluate_policies will run.
std::int64_t evaluation_tokens(const std::vector<RecordedTrace>& traces, std::size_t policies,
                               const CacheSize& size);

}  // namespace foresight
