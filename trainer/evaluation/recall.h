// Planted facts: something a text says once, asked for after a number of evictions, through the decoding
// path.
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

/// A text of B + (evictions + 1) W tokens. Its fact ends at token B, so that every one of the evictions
/// before the answer may take it. The question ends right before the answer, and the answer ends the text, in
/// the last window, which nothing is evicted from.
struct PlantedText {
  Tokens stated;                   ///< with the fact
  Tokens never;                    ///< the same tokens, but filler in the fact's place
  std::int64_t prompt_tokens = 0;  ///< the opening, which is prefilled; the rest is decoded
  std::int64_t answer_tokens = 0;  ///< at the end
};

/// Fact number `index` at a distance of `evictions`; follows from these and the seed. Throws Error(kConfig)
/// naming evaluation.recall_facts where a budget cannot hold opening and fact, or two windows question and
/// answer.
PlantedText planted_text(const Tokenizer& tokenizer, const CacheSize& size, std::int64_t evictions,
                         std::int64_t index, std::int64_t seed);

/// Tokens of such a text.
std::int64_t planted_tokens(const CacheSize& size, std::int64_t evictions);

/// What a model makes of the answers that end texts, one row each.
struct AnswerScores {
  std::vector<double> log_probability;  ///< of the whole answer, nats
  std::vector<bool> likeliest;          ///< each of its tokens is the likeliest: greedy decoding says it
};

/// Reads `texts` [R, T], the first `prompt_tokens` together and every other token by itself as a generation
/// would, and scores the last answer_tokens[r] tokens of row r. Without a selector the full cache reads all
/// but the answer together. `on_tokens` (optional) is told the row tokens done, R x T in all. Throws
/// Error(kInterrupted) after a stop signal.
AnswerScores score_answers(const Transformer& model, const torch::Tensor& texts, std::int64_t prompt_tokens,
                           const std::vector<std::int64_t>& answer_tokens,
                           const std::optional<EvictionSelector>& select, const CacheSize& size,
                           const std::function<void(std::int64_t)>& on_tokens = {});

/// What a config asks for.
RecallOptions recall_options(const Config& config);

/// Measures the policies: recall_json() of what it finds. `on_tokens` is told the row tokens done, of
/// recall_tokens().
nlohmann::ordered_json measure_recall(const TaskSetting& setting, const std::vector<Policy>& policies,
                                      const RecallOptions& options,
                                      const std::function<void(std::int64_t)>& on_tokens = {});

/// Facts whose texts go through the model together, under so many policies.
std::int64_t facts_together(const RecallOptions& options, std::int64_t policies);

/// Row tokens of a measurement of so many policies.
std::int64_t recall_tokens(const CacheSize& size, const RecallOptions& options, std::int64_t policies);

}  // namespace foresight
