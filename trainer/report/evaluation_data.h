// evaluation.json as structs: read and checked once, so that what draws the page meets no surprises.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/report/json_place.h"

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

/// What was measured of one policy at one budget.
struct PolicyMeasures {
  std::string name;
  Scalars scalars;                                          ///< "loss", "loss_rise", ... and any later number
  std::vector<std::vector<double>> attention_kept_by_head;  ///< [layers, KV heads]; empty where not measured
  std::vector<RiseAtPosition> by_position;
  std::optional<RuleDifference> difference;

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

struct GenerationResult {
  std::string task;
  std::optional<double> samples;
  std::vector<NamedScalars> policies;
  std::optional<PasskeyResult> passkey;
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

/// The whole file. Policies stand in the order of inputs.policies, others after them.
struct EvaluationData {
  std::string code_version, model, dtype;     ///< empty where the file does not say
  std::vector<std::int64_t> evicting_layers;  ///< the model's numbers of the layers; empty: 0, 1, 2, ...
  BudgetResult main;
  std::vector<BudgetResult> sweep;
  std::optional<GenerationResult> generation;
  std::optional<CostResult> cost;
  Scalars training;
  std::optional<TokenView> token_view;
};

/// `json` checked. `file` names it in messages. Throws Error(kInput) naming the key for a missing "budget",
/// "window" or "policies", and for a value of another type or length than docs/evaluation.md says.
EvaluationData read_evaluation(const nlohmann::json& json, const std::string& file);

}  // namespace foresight
