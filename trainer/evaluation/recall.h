// Planted facts: a text states a fact once and asks for it after a number of evictions, with the code that
// decodes.
#pragma once

#include <torch/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/evaluation/generated_texts.h"
#include "trainer/evaluation/recall_scores.h"

namespace foresight {

/// A text of B + (evictions + 1) W tokens. Its fact ends at token B, so that each eviction before the answer
/// may evict it. The question ends right before the answer, and the answer ends the text, in the last window,
/// from which nothing is evicted.
struct PlantedText {
  Tokens stated;                   ///< with the fact
  Tokens never;                    ///< the same tokens, but filler in the fact's place
  std::int64_t prompt_tokens = 0;  ///< the opening, which is prefilled; the rest is decoded
  std::int64_t answer_tokens = 0;  ///< at the end
};

/// Fact number `index` at a distance of `evictions`, which depends only on these and the seed. Throws
/// Error(kConfig) naming evaluation.recall_facts where a budget cannot hold opening and fact, or two windows
/// question and answer.
PlantedText planted_text(const Tokenizer& tokenizer, const CacheSize& size, std::int64_t evictions,
                         std::int64_t index, std::int64_t seed);

/// Tokens of such a text.
std::int64_t planted_tokens(const CacheSize& size, std::int64_t evictions);

/// The model's scores of the answers at the end of texts, one row each.
struct AnswerScores {
  std::vector<double> log_probability;  ///< of the whole answer, nats
  std::vector<bool> likeliest;          ///< each of its tokens is the most likely, as in greedy decoding
};

/// Reads `texts` [R, T], the first `prompt_tokens` together and every other token by itself as a generation
/// would, and scores the last answer_tokens[r] tokens of row r. Without a selector the full cache reads all
/// but the answer together. `on_tokens` (optional) gets the number of row tokens done, R x T in all. Throws
/// Error(kInterrupted) after a stop signal.
AnswerScores score_answers(const Transformer& model, const torch::Tensor& texts, std::int64_t prompt_tokens,
                           const std::vector<std::int64_t>& answer_tokens,
                           const std::optional<EvictionSelector>& select, const CacheSize& size,
                           const std::function<void(std::int64_t)>& on_tokens = {});

/// The settings of a config.
RecallOptions recall_options(const Config& config);

/// Measures the policies and returns recall_json() of the scores. `on_tokens` gets the number of row tokens
/// done, of recall_tokens().
nlohmann::ordered_json measure_recall(const TaskSetting& setting, const std::vector<Policy>& policies,
                                      const RecallOptions& options,
                                      const std::function<void(std::int64_t)>& on_tokens = {});

/// Number of facts whose texts go through the model together, under so many policies.
std::int64_t facts_together(const RecallOptions& options, std::int64_t policies);

/// Row tokens of a measurement of so many policies.
std::int64_t recall_tokens(const CacheSize& size, const RecallOptions& options, std::int64_t policies);

}  // namespace foresight
