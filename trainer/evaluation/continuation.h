// Greedy continuations of prompts: how long a policy's text equals the full cache's, and whether it ends.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/evaluation/generated_texts.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// A prompt to continue; `name` says whose it is.
struct ContinuedPrompt {
  std::string name;
  Tokens tokens;
};

/// The tokens of a trace that are continued: its prompt (`prompt_tokens`), or its first `size.budget` tokens
/// if it has no prompt or nothing else.
std::int64_t continued_tokens(std::int64_t prompt_tokens, std::int64_t trace_tokens, const CacheSize& size);

/// Those of the first `count` traces.
std::vector<ContinuedPrompt> continued_prompts(const std::vector<RecordedTrace>& traces, std::int64_t count,
                                               const CacheSize& size);

/// Tokens of the sequences that `repetition` counts.
inline constexpr std::int64_t kRepeatedTokens = 8;

/// Share of a text's sequences of kRepeatedTokens tokens that occurred in it before; 0 for a shorter text.
double repetition(const Tokens& text);

/// One policy's texts against the full cache's, both by prompt: `tokens_until_difference` (mean, a text that
/// is equal counts with its length), `equal_share` (texts that are equal to the end), `truncation_rate`
/// (those that the limit cut), `mean_tokens`, `repetition`, `prompt_tokens_until_difference` (each prompt's).
nlohmann::ordered_json score_continuations(const std::vector<Tokens>& texts, const std::vector<Tokens>& full,
                                           const std::vector<std::int32_t>& end_tokens);

/// Continues every prompt greedily under the full cache and every policy. Returns score_continuations() of
/// each by name, "full" first. Throws Error(kInterrupted) after a stop signal, Error(kConfig) for a prompt
/// that leaves no room.
nlohmann::ordered_json continue_prompts(const TaskSetting& setting, const std::vector<Policy>& policies,
                                        const std::vector<ContinuedPrompt>& prompts,
                                        std::int64_t max_new_tokens,
                                        const std::function<void(std::int64_t)>& on_prompts = {});

}  // namespace foresight
