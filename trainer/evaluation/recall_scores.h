// From the log-probabilities of planted facts' answers to figures: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

/// The planted facts and how many run at once.
struct RecallOptions {
  std::int64_t facts = 0;
  std::vector<std::int64_t> evictions = {};  ///< distances
  std::int64_t rows_per_pass = 16;
};

/// Log-probabilities of the answers at one distance, [facts] each.
struct RecallScores {
  std::vector<double> full = {};                   ///< the full cache, fact stated
  std::vector<double> never = {};                  ///< the full cache, fact not stated
  std::vector<bool> full_found = {};               ///< greedy decoding with the full cache gives the answer
  std::vector<std::vector<double>> policies = {};  ///< [policies], fact stated
  std::vector<std::vector<bool>> found = {};       ///< [policies], as full_found
};

/// The block "recall" of evaluation.json (docs/evaluation.md) from the scores by distance. A policy's R is
/// the sum over facts of (policy - never) over the sum of (full - never): 1 as with the full cache, 0 as if
/// the fact had not been stated; null where the full cache gains nothing from it. Its interval is a bootstrap
/// over facts, and so is that of a scorer's difference to the best hand-written rule at the same distance.
nlohmann::ordered_json recall_json(const std::vector<RecallScores>& scores,
                                   const std::vector<std::string>& policies, const RecallOptions& options,
                                   std::uint64_t seed);

}  // namespace foresight
