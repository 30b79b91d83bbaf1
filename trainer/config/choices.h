// What keys of the config choose between. The maths switches on these, and takes its numbers as values: it
// includes this header, never the config.
#pragma once

namespace foresight {

/// What the scorer sees (docs/method.md, "The scorer"): statistics as log1p(100 x), standardised; these and
/// what an entry is among the others; the latter with the key as the newest token sees it; what an engine can
/// afford; or the authors' raw ones.
enum class ScorerFeatures { kNormalized, kExtended, kRelative, kServing, kReleased };

/// Whether these features hold what an entry is among the others.
constexpr bool has_context(ScorerFeatures features) {
  return features == ScorerFeatures::kExtended || features == ScorerFeatures::kRelative;
}

/// How a pair of the ranking loss counts: by what the wrong order costs, or once (the paper).
enum class PairWeight { kGap, kUniform };

/// Whether an eviction is credited with the windows after it, or with the whole trace.
enum class Credit { kStep, kTrace };
/// Over what the deviation is taken that advantages are divided by: all steps of a trace, or each step.
enum class AdvantageScale { kTrace, kStep };
enum class RewardShape { kClampedRise, kSquaredLargeRise, kMeanRise, kExpectedRise };
enum class RewardTokens { kLowEntropy, kAll };
enum class Likelihood { kPlackettLuce, kIndependent };
enum class Schedule { kCosine, kConstant, kLinear };

/// Whose evictions lead through the training traces: the golden plan's alone, or the scorer's own after them,
/// or both's after them.
enum class TrainingStates { kGolden, kOwn, kBoth };

/// Where the ranking loss takes features from: stored ones, or the replay itself as it passes.
enum class FeatureSource { kAuto, kCache, kStream };

/// Which tokens an evaluation scores.
enum class ScoreTokens { kAll, kCompletion };

}  // namespace foresight
