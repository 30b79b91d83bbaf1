// Policies side by side on recorded traces: each runs once, and its losses are kept token by token.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/evaluation/kept_attention.h"
#include "trainer/evaluation/policies.h"
#include "trainer/evaluation/scoring.h"
#include "trainer/model/transformer.h"

namespace foresight {

/// Policies that share a cache size.
struct PolicySet {
  CacheSize size;
  std::vector<Policy> policies;
};

enum class Detail {
  kLosses,  ///< losses alone
  kAll      ///< predictions are compared with full KV, and kept attention with the recorded one
};

/// Runs every policy of every set on every trace: [set][policy]. Traces of one length share forward passes,
/// a trace's prefix is computed once for all policies of a set, and with Detail::kAll its full-KV pass once
/// for all sets. Tokens that no eviction can touch have their full-KV loss. `rows_per_pass`: traces x
/// policies at once, which are assigned to ranks; all ranks get all runs. `on_tokens` (may be empty) gets the
/// number of tokens that this rank has done, of its run_tokens(). Throws Error(kNumeric) naming trace and
/// policy for a loss that is not finite.
std::vector<std::vector<PolicyRun>> run_policies(const Transformer& model,
                                                 const std::vector<RecordedTrace>& traces,
                                                 const std::vector<PolicySet>& sets, Detail detail,
                                                 std::int64_t rows_per_pass,
                                                 const std::function<void(std::int64_t)>& on_tokens,
                                                 World& world);

/// Row tokens that run_policies will run under eviction on this rank.
std::int64_t run_tokens(const std::vector<RecordedTrace>& traces, const std::vector<PolicySet>& sets,
                        std::int64_t rows_per_pass, const World& world);

/// Which tokens evaluate_policies scores and how much runs at once.
struct EvaluationOptions {
  CacheSize size;
  ScoreTokens score = ScoreTokens::kAll;
  double low_entropy_share = 0.8;
  std::int64_t rows_per_pass = 16;
};

/// Losses of policies at one cache size, scored: the first result is always "full", from the recorded losses.
/// If a budget holds whole traces, so that nothing is evicted, all tokens are scored and every policy equals
/// full KV.
std::vector<PolicyResult> evaluate_policies(const Transformer& model,
                                            const std::vector<RecordedTrace>& traces,
                                            const std::vector<Policy>& policies,
                                            const EvaluationOptions& options, World& world);

}  // namespace foresight
