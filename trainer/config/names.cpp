#include "trainer/config/names.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

template <class Enum>
using Names = std::vector<std::pair<Enum, std::string>>;

template <class Enum>
std::string word_of(Enum value) {
  for (const auto& [known, word] : enum_names<Enum>()) {
    if (known == value) return word;
  }
  throw Error(ErrorKind::kInternal, concat("enum value ", static_cast<int>(value), " has no name"));
}

// Levenshtein distance: insertions, deletions and replacements of single letters.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

template <>
const Names<ScorerFeatures>& enum_names<ScorerFeatures>() {
  static const Names<ScorerFeatures> names = {{ScorerFeatures::kNormalized, "normalized"},
                                              {ScorerFeatures::kExtended, "extended"},
                                              {ScorerFeatures::kRelative, "relative"},
                                              {ScorerFeatures::kServing, "serving"},
                                              {ScorerFeatures::kReleased, "released"}};
  return names;
}

template <>
const Names<PairWeight>& enum_names<PairWeight>() {
  static const Names<PairWeight> names = {{PairWeight::kGap, "gap"}, {PairWeight::kUniform, "uniform"}};
  return names;
}

template <>
const Names<Credit>& enum_names<Credit>() {
  static const Names<Credit> names = {{Credit::kStep, "step"}, {Credit::kTrace, "trace"}};
  return names;
}

template <>
const Names<AdvantageScale>& enum_names<AdvantageScale>() {
  static const Names<AdvantageScale> names = {{AdvantageScale::kTrace, "trace"},
                                              {AdvantageScale::kStep, "step"}};
  return names;
}

template <>
const Names<FeatureSource>& enum_names<FeatureSource>() {
  static const Names<FeatureSource> names = {
      {FeatureSource::kAuto, "auto"}, {FeatureSource::kCache, "cache"}, {FeatureSource::kStream, "stream"}};
  return names;
}

template <>
const Names<TrainingStates>& enum_names<TrainingStates>() {
  static const Names<TrainingStates> names = {
      {TrainingStates::kGolden, "golden"}, {TrainingStates::kOwn, "own"}, {TrainingStates::kBoth, "both"}};
  return names;
}

template <>
const Names<RewardShape>& enum_names<RewardShape>() {
  static const Names<RewardShape> names = {{RewardShape::kClampedRise, "clamped_rise"},
                                           {RewardShape::kSquaredLargeRise, "squared_large_rise"},
                                           {RewardShape::kMeanRise, "mean_rise"},
                                           {RewardShape::kExpectedRise, "expected_rise"}};
  return names;
}

template <>
const Names<RewardTokens>& enum_names<RewardTokens>() {
  static const Names<RewardTokens> names = {{RewardTokens::kLowEntropy, "low_entropy"},
                                            {RewardTokens::kAll, "all"}};
  return names;
}

template <>
const Names<Likelihood>& enum_names<Likelihood>() {
  static const Names<Likelihood> names = {{Likelihood::kPlackettLuce, "plackett_luce"},
                                          {Likelihood::kIndependent, "independent"}};
  return names;
}

template <>
const Names<Schedule>& enum_names<Schedule>() {
  static const Names<Schedule> names = {
      {Schedule::kCosine, "cosine"}, {Schedule::kConstant, "constant"}, {Schedule::kLinear, "linear"}};
  return names;
}

template <>
const Names<ScoreTokens>& enum_names<ScoreTokens>() {
  static const Names<ScoreTokens> names = {{ScoreTokens::kAll, "all"},
                                           {ScoreTokens::kCompletion, "completion"}};
  return names;
}

template <>
const Names<Stage>& enum_names<Stage>() {
  static const Names<Stage> names = {{Stage::kTraces, "traces"},
                                     {Stage::kOracle, "oracle"},
                                     {Stage::kSupervised, "supervised"},
                                     {Stage::kGrpo, "grpo"},
                                     {Stage::kEvaluate, "evaluate"}};
  return names;
}

std::string to_string(ScorerFeatures value) {
  return word_of(value);
}
std::string to_string(PairWeight value) {
  return word_of(value);
}
std::string to_string(Credit value) {
  return word_of(value);
}
std::string to_string(AdvantageScale value) {
  return word_of(value);
}
std::string to_string(TrainingStates value) {
  return word_of(value);
}
std::string to_string(FeatureSource value) {
  return word_of(value);
}
std::string to_string(RewardShape value) {
  return word_of(value);
}
std::string to_string(RewardTokens value) {
  return word_of(value);
}
std::string to_string(Likelihood value) {
  return word_of(value);
}
std::string to_string(Schedule value) {
  return word_of(value);
}
std::string to_string(ScoreTokens value) {
  return word_of(value);
}
std::string to_string(Stage value) {
  return word_of(value);
}

template <class Enum>
Enum enum_from_string(std::string_view word) {
  for (const auto& [value, known] : enum_names<Enum>()) {
    if (known == word) return value;
  }
  throw Error(ErrorKind::kConfig,
              concat("\"", word, "\": expected one of ", join(enum_choices<Enum>(), ", ")));
}

template ScorerFeatures enum_from_string<ScorerFeatures>(std::string_view);
template PairWeight enum_from_string<PairWeight>(std::string_view);
template Credit enum_from_string<Credit>(std::string_view);
template AdvantageScale enum_from_string<AdvantageScale>(std::string_view);
template TrainingStates enum_from_string<TrainingStates>(std::string_view);
template FeatureSource enum_from_string<FeatureSource>(std::string_view);
template RewardShape enum_from_string<RewardShape>(std::string_view);
template RewardTokens enum_from_string<RewardTokens>(std::string_view);
template Likelihood enum_from_string<Likelihood>(std::string_view);
template Schedule enum_from_string<Schedule>(std::string_view);
template ScoreTokens enum_from_string<ScoreTokens>(std::string_view);
template Stage enum_from_string<Stage>(std::string_view);

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names = {"full",
                                                 "golden",
                                                 "supervised",
                                                 "grpo",
                                                 "random",
                                                 "random_protected",
                                                 "recency_protected",
                                                 "streaming_llm",
                                                 "h2o",
                                                 "snapkv",
                                                 "tova",
                                                 "keydiff",
                                                 "rkv",
                                                 "vase"};
  return names;
}

bool is_rule(std::string_view policy) {
  return std::ranges::count(policy_names(), policy) > 0 && policy != "full" && policy != "golden" &&
         !training_stage_named(policy);
}

bool is_scorer_path(std::string_view policy) {
  constexpr std::string_view kSuffix = ".safetensors";
  return policy.size() > kSuffix.size() && policy.ends_with(kSuffix);
}

std::string nearest_name(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kCompared = 48;  // no known word is longer, and a mistaken one may be a whole file
  word = word.substr(0, kCompared);
  std::string nearest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace foresight
