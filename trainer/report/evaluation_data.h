// evaluation.json as structs: it is read and checked once, so that the code that draws the page need not
// check anything.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/report/json_place.h"
#include "trainer/report/policy_style.h"

namespace foresight {

/// A mean rise with its confidence interval.
struct RiseInterval {
  double loss_rise = 0;
  std::optional<double> low = {}, high = {};
  std::optional<bool> significant = {};
};

/// A policy's paired difference to the best hand-written rule.
struct RuleDifference {
  std::string baseline;
  RiseInterval all;
  std::optional<RiseInterval> low_entropy = {};
  std::string sentence = {};  ///< empty where the file has none
};

/// The rise on the scored tokens before a position.
struct RiseAtPosition {
  std::int64_t end = 0;
  double loss_rise = 0;
};

/// The rise that a share of the scored tokens reaches or exceeds.
struct RiseOfShare {
  double share = 0;
  double rise = 0;
};

/// The rises of single traces, in the order of the traces: for differences between runs. A mean over a
/// trace's tokens belongs to their number.
struct TraceRises {
  std::vector<double> rise;
  std::vector<std::int64_t> tokens;
};

/// Keys of the single numbers that an evaluation has of each policy, in the order of columns.
const std::vector<std::string>& policy_measure_names();

/// What was measured of one policy at one budget.
struct PolicyMeasures {
  std::string name;
  Scalars scalars;                                          ///< "loss", "loss_rise", ... and any later number
  std::vector<std::vector<double>> attention_kept_by_head;  ///< [layers, KV heads]; empty where not measured
  std::vector<RiseAtPosition> by_position;
  std::vector<RiseOfShare> tail;
  std::vector<double> prompt_live;  ///< share of the prompt's entries live after each eviction
  std::optional<RuleDifference> difference;
  /// Over all scored tokens, and over the low-entropy ones; nothing where the file does not say their number.
  std::optional<TraceRises> by_trace, low_entropy_by_trace;

  /// The number under `key`, or NaN.
  double scalar(const std::string& key) const;
};

/// All policies at one budget.
struct BudgetResult {
  std::int64_t budget = 0, window = 0;
  std::optional<double> first_scored = {};
  std::vector<PolicyMeasures> policies;
};

/// A policy's name and what belongs to it, one number for each of some list.
struct NamedNumbers {
  std::string name;
  std::vector<double> numbers;
};

struct NamedScalars {
  std::string name;
  Scalars scalars;
};

struct PasskeyResult {
  std::optional<double> length;
  std::vector<double> depths;
  std::vector<NamedNumbers> policies;  ///< a share of keys found for each depth
};

/// Prompts continued greedily.
struct ContinuedResult {
  std::optional<double> prompts, max_new_tokens;
  std::vector<NamedScalars> policies;
};

struct GenerationResult {
  std::string task;
  std::optional<double> samples;
  std::vector<NamedScalars> policies;
  std::optional<PasskeyResult> passkey;
  std::optional<ContinuedResult> continued;
};

/// A policy's recall of planted facts, one number for each distance; NaN where there is nothing to recall.
struct RecallPolicy {
  std::string name;
  std::vector<double> recall, low, high, found;
};

struct RecallResult {
  std::optional<double> facts;
  std::vector<double> evictions;   ///< distances
  std::vector<double> full_found;  ///< share of answers that the full cache says
  std::vector<RecallPolicy> policies;
};

struct CostRow {
  std::string name;
  Scalars scalars;  ///< "milliseconds_per_eviction", "scoring_share"
  // Each [contexts] or empty; the last two stand for full KV in the memory of an evicting batch.
  std::vector<double> kv_bytes, peak_bytes, prefill_tokens_per_second, decode_tokens_per_second,
      batch_decode_tokens_per_second, equal_memory_rows, equal_memory_decode_tokens_per_second;
};

struct CostResult {
  std::vector<std::int64_t> contexts;
  std::optional<double> threads, batch;
  std::vector<CostRow> policies;
};

struct TokenView {
  std::string trace;
  std::vector<std::string> tokens;
  std::vector<NamedNumbers> policies;  ///< share of (layer, KV head) pairs that still hold each token
};

/// What decides about the tokens that are scored. Empty texts where the file does not say.
struct ScoredInputs {
  std::string traces_sha256;    ///< of the held-out traces' tokens
  std::string recorded_sha256;  ///< of what the model with its full cache gave on them
  std::string model_fingerprint;
  std::string score;  ///< evaluation.score
  std::optional<double> low_entropy_share = {};
};

/// The whole file. Policies stand in the order of inputs.policies, others after them.
struct EvaluationData {
  std::string code_version, model, dtype;     ///< empty where the file does not say
  std::vector<std::int64_t> evicting_layers;  ///< the model's numbers of the layers; empty: 0, 1, 2, ...
  ScoredInputs inputs;
  BudgetResult main;
  std::vector<BudgetResult> sweep;
  std::optional<GenerationResult> generation;
  std::optional<RecallResult> recall;
  std::optional<CostResult> cost;
  Scalars training;
  std::optional<TokenView> token_view;
  PolicyStyles styles;  ///< of all policies in the file
};

/// `json` checked. `file` names it in messages. Throws Error(kInput) naming the key for a missing "budget",
/// "window" or "policies", and for a value of another type or length than docs/evaluation.md says.
EvaluationData read_evaluation(const nlohmann::json& json, const std::string& file);

}  // namespace foresight
