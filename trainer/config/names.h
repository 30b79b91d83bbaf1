// The words of the configuration: enum values and policy names as YAML, logs and reports spell them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/config/stage.h"

namespace foresight {

/// An enum's values with their words, in the order in which documentation lists them. Defined for every enum
/// of config.h and for Stage.
template <class Enum>
const std::vector<std::pair<Enum, std::string>>& enum_names();

template <>
const std::vector<std::pair<ScorerFeatures, std::string>>& enum_names<ScorerFeatures>();
template <>
const std::vector<std::pair<PairWeight, std::string>>& enum_names<PairWeight>();
template <>
const std::vector<std::pair<Credit, std::string>>& enum_names<Credit>();
template <>
const std::vector<std::pair<AdvantageScale, std::string>>& enum_names<AdvantageScale>();
template <>
const std::vector<std::pair<FeatureSource, std::string>>& enum_names<FeatureSource>();
template <>
const std::vector<std::pair<TrainingStates, std::string>>& enum_names<TrainingStates>();
template <>
const std::vector<std::pair<RewardShape, std::string>>& enum_names<RewardShape>();
template <>
const std::vector<std::pair<RewardTokens, std::string>>& enum_names<RewardTokens>();
template <>
const std::vector<std::pair<Likelihood, std::string>>& enum_names<Likelihood>();
template <>
const std::vector<std::pair<Schedule, std::string>>& enum_names<Schedule>();
template <>
const std::vector<std::pair<ScoreTokens, std::string>>& enum_names<ScoreTokens>();
template <>
const std::vector<std::pair<Stage, std::string>>& enum_names<Stage>();

/// The word of a value: "normalized" | "serving" | "released".
std::string to_string(ScorerFeatures value);
/// "gap" | "uniform".
std::string to_string(PairWeight value);
/// "step" | "trace".
std::string to_string(Credit value);
/// "trace" | "step".
std::string to_string(AdvantageScale value);
/// "auto" | "cache" | "stream".
std::string to_string(FeatureSource value);
std::string to_string(TrainingStates value);
/// "clamped_rise" | "squared_large_rise" | "mean_rise" | "expected_rise".
std::string to_string(RewardShape value);
/// "low_entropy" | "all".
std::string to_string(RewardTokens value);
/// "plackett_luce" | "independent".
std::string to_string(Likelihood value);
/// "cosine" | "constant" | "linear".
std::string to_string(Schedule value);
/// "all" | "completion".
std::string to_string(ScoreTokens value);
/// "traces" | "oracle" | "supervised" | "grpo" | "evaluate".
std::string to_string(Stage value);

/// The words of an enum, for messages and help.
template <class Enum>
std::vector<std::string> enum_choices() {
  std::vector<std::string> words;
  for (const auto& [value, word] : enum_names<Enum>()) words.push_back(word);
  return words;
}

/// The value of a word; throws Error(kConfig) that lists the choices for a word that is none.
template <class Enum>
Enum enum_from_string(std::string_view word);

/// Policies known by name in evaluation.policies: full, golden, supervised, grpo, random, streaming_llm, h2o,
/// snapkv, tova, keydiff, rkv, vase.
const std::vector<std::string>& policy_names();

/// True for the hand-written rules: every name but full, golden, supervised and grpo.
bool is_rule(std::string_view policy);

/// True for a policy given as a scorer file: a path ending in ".safetensors".
bool is_scorer_path(std::string_view policy);

/// The one of `known` with the least edit distance to `word` (the first of equals); empty when `known` is
/// empty.
std::string nearest_name(std::string_view word, const std::vector<std::string>& known);

}  // namespace foresight
