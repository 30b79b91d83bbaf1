// From a policy's losses on each token to its figures: pure functions of a run and the recorded traces.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include "trainer/base/paired_bootstrap.h"
#include "trainer/config/config.h"
#include "trainer/evaluation/kept_attention.h"
#include "trainer/evaluation/tails.h"

namespace foresight {

/// The results of one policy, in the order of the traces.
struct PolicyRun {
  std::string name;
  std::vector<torch::Tensor> loss;  ///< per trace [L] float32 under eviction
  std::vector<torch::Tensor>
      divergence;  ///< per trace [L] KL(full KV || evicted) in nats; empty if not measured
  std::vector<torch::Tensor> agreement;  ///< per trace [L] 1 where the likeliest token is full KV's; or empty
  KeptAttention kept;                    ///< no evictions if not measured
  torch::Tensor held;  ///< [L] of the first trace: share of (layer, KV head) pairs that hold each position at
                       ///< the end; undefined if not measured
};

/// The run of the full cache, from the recorded losses.
PolicyRun full_run(const std::vector<RecordedTrace>& traces);

/// Which tokens are scored.
struct ScoringOptions {
  std::int64_t first_scored = 1;
  ScoreTokens score = ScoreTokens::kAll;
  double low_entropy_share = 0.8;
  std::int64_t window = 64;  ///< tokens of a window, for the rise of the worst window
};

/// t > budget + window (docs/method.md, "The cache"), or every token if no trace has an eviction.
std::int64_t first_scored_token(const std::vector<RecordedTrace>& traces, const CacheSize& size);
/// The same where the longest trace has `longest_tokens`.
std::int64_t first_scored_token(std::int64_t longest_tokens, const CacheSize& size);

/// Sums over the scored tokens of one trace.
struct TraceSums {
  std::int64_t tokens = 0, low_tokens = 0;  ///< scored; of them low-entropy
  double loss = 0, full = 0;                ///< nats
  double rise = 0, low_rise = 0;            ///< nats above full KV: on all of them; on the low-entropy ones
  double divergence = 0, agreement = 0;
};

/// The rise on the scored tokens before position `end`: what a trace of that length would have cost.
struct PositionRise {
  std::int64_t end = 0;
  std::int64_t tokens = 0;
  double loss_rise = 0;
};

/// One policy's figures, pooled over the scored tokens of all traces (docs/method.md, "Conventions").
struct PolicyResult {
  std::string name;
  double loss = 0;                          ///< nats per scored token
  double loss_rise = 0;                     ///< minus full KV
  double loss_ratio = 1;                    ///< over full KV
  double low_entropy_loss_rise = 0;         ///< on the low-entropy share of each trace's scored tokens
  double high_entropy_loss_rise = 0;        ///< on the others
  RiseTails tails;                          ///< of the rise of single scored tokens
  std::optional<double> divergence;         ///< mean KL(full KV || evicted), nats
  std::optional<double> agreement;          ///< share of tokens whose likeliest prediction is full KV's
  std::optional<double> attention_kept;     ///< mean of attention_kept_by_head
  torch::Tensor attention_kept_by_head;     ///< [layers, KV heads] float64, or undefined
  std::optional<double> golden_overlap;     ///< share of the golden plan's kept candidates that stay
  std::optional<double> boundary_accuracy;  ///< share of the entries at golden's cut decided like golden
  std::optional<double> churn;      ///< share of the kept candidates that changed since the eviction before
  std::vector<double> prompt_live;  ///< share of the prompt's entries that are live after each eviction
  std::vector<double> prompt_held_by;  ///< share of it that at least 1, 2, .. KV heads of a layer hold in the
                                       ///< end
  std::int64_t tokens = 0;             ///< scored tokens
  std::int64_t traces = 0;
  std::vector<double> trace_loss_rise;  ///< per trace, for paired comparisons
  std::vector<double> trace_low_entropy_loss_rise;
  std::vector<TraceSums> sums;
  std::vector<PositionRise> by_position;  ///< ends at powers of two and at the longest trace
};

/// Scores a run. Throws Error(kInternal) if the run is not of these traces.
PolicyResult score_run(const PolicyRun& run, const std::vector<RecordedTrace>& traces,
                       const ScoringOptions& options);

/// Only the tails of a run, over the tokens that score_run() scores.
RiseTails tails_of(const PolicyRun& run, const std::vector<RecordedTrace>& traces,
                   const ScoringOptions& options);

/// A policy's loss rise minus another's on the same tokens, with a paired interval: all scored tokens, and
/// the low-entropy ones.
struct Difference {
  std::string baseline;
  Interval all;
  Interval low_entropy;
};
Difference difference_to(const PolicyResult& policy, const PolicyResult& baseline, std::uint64_t seed);

/// The hand-written rule (random is one) with the lowest loss rise; nullptr without rules.
const PolicyResult* best_rule(const std::vector<PolicyResult>& results);

}  // namespace foresight
