// Policies on tasks: answers generated to prompts with known ones, and numbers hidden in long texts.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/trace_rows.h"
#include "trainer/config/config.h"
#include "trainer/evaluation/generated_texts.h"
#include "trainer/text/chat_template.h"

namespace foresight {

/// How the problems are solved.
struct ProblemOptions {
  std::int64_t samples = 0;  ///< k sampled solutions of each problem besides the greedy one
  std::int64_t max_new_tokens = 512;
  double temperature = 0.6, top_p = 0.95;
  std::int64_t top_k = 20;
  std::string instruction = {};  ///< appended on a line of its own to a problem that is not a chat
};

/// One text for a problem.
struct Solution {
  std::string text;
  std::int64_t tokens = 0;
  bool ended = false;  ///< by a token that ends generation, not by the limit
};

/// A problem's texts under one policy, the greedy one first.
struct SolvedProblem {
  std::vector<Solution> solutions;
  std::string answer;
  std::int64_t tokens_until_difference =
      0;  ///< greedy text equal to full KV's; its whole length where all is
};

/// Of the samples, or of the greedy text where there are none: `accuracy` (final answers that mean the same,
/// data/answers.h; avg@k), `answered` (share of texts with a final answer), `mean_tokens`, `truncation_rate`
/// (share that the limit cut). Of the greedy text: `greedy_accuracy`, `greedy_truncation_rate`,
/// `tokens_until_difference` (mean over problems).
nlohmann::ordered_json score_solutions(const std::vector<SolvedProblem>& problems);

/// Solves each problem once greedily and `samples` times by sampling, under the full cache and every policy;
/// sample s of a problem draws from the same stream under all of them. Returns score_solutions() of each
/// policy by name, "full" first. Throws Error(kInterrupted) after a stop signal.
nlohmann::ordered_json solve_problems(const TaskSetting& setting, const std::vector<Policy>& policies,
                                      const std::vector<PromptRow>& problems, const ChatTemplate& chat,
                                      const ProblemOptions& options,
                                      const std::function<void(std::int64_t)>& on_problems = {});

/// Tokens generated for a passkey.
inline constexpr std::int64_t kPasskeyNewTokens = 12;

/// Depths at which passkeys are hidden, as shares of the text.
const std::vector<double>& passkey_depths();

/// Hides five-digit numbers in a text of `length` tokens, `keys` at each depth, and asks for them at its end.
/// Returns per policy, "full" first, the share found at each depth.
nlohmann::ordered_json find_passkeys(const TaskSetting& setting, const std::vector<Policy>& policies,
                                     std::int64_t length, std::int64_t keys,
                                     const std::function<void(std::int64_t)>& on_prompts = {});

}  // namespace foresight
