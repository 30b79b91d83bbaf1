// What keys of the config choose between. The maths switches on these, and takes its numbers as values: it
// includes this header, never the config.
#pragma once

namespace foresight {

/// What the scorer sees: statistics as log1p(100 x), standardised, or the authors' raw ones.
enum class ScorerFeatures { kNormalized, kReleased };

/// How a pair of the ranking loss counts: by what the wrong order costs, or once (the paper).
enum class PairWeight { kGap, kUniform };

/// Whether an eviction is credited with the windows after it, or with the whole trace.
enum class Credit { kStep, kTrace };
enum class RewardShape { kClampedRise, kSquaredLargeRise, kMeanRise, kExpectedRise };
enum class RewardTokens { kLowEntropy, kAll };
enum class Likelihood { kPlackettLuce, kIndependent };
enum class Schedule { kCosine, kConstant, kLinear };

/// Which tokens an evaluation scores.
enum class ScoreTokens { kAll, kCompletion };

}  // namespace foresight
