#include "trainer/evaluation/tasks.h"

#include <algorithm>
#include <cmath>

#include "data/answers.h"
#include "trainer/base/text.h"
#include "trainer/text/chat_rows.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// Sums over texts.
struct TextSums {
  double correct = 0, answered = 0, tokens = 0, truncated = 0, texts = 0;

  void add(const Solution& solution, const std::string& answer) {
    const auto found = final_answer(solution.text);
    correct += found && same_answer(*found, answer) ? 1 : 0;
    answered += found ? 1 : 0;
    tokens += static_cast<double>(solution.tokens);
    truncated += solution.ended ? 0 : 1;
    texts += 1;
  }
  double mean(double sum) const { return sum / std::max(texts, 1.0); }
};

/// What is scored of a policy's text for a problem.
SolvedProblem solved_problem(const std::vector<Tokens>& rows, const Tokens& full_greedy,
                             const std::string& answer, const Tokenizer& tokenizer) {
  const auto& ends = tokenizer.end_of_sequence();
  SolvedProblem solved;
  solved.answer = answer;
  for (const Tokens& row : rows) {
    solved.solutions.push_back({tokenizer.decode(row, /*skip_special_tokens=*/true),
                                static_cast<std::int64_t>(row.size()), has_ended(row, ends)});
  }
  solved.tokens_until_difference = equal_prefix(rows[0], full_greedy);
  return solved;
}

/// A text of about `length` tokens with `key` at `depth`, which ends in the question.
Tokens passkey_prompt(const Tokenizer& tokenizer, std::int64_t length, double depth, const std::string& key,
                      RandomStream& random) {
  const Tokens needle =
      tokenizer.encode(concat(" The pass key is ", key, ". Remember it: ", key, " is the pass key."));
  const Tokens question = tokenizer.encode(" What is the pass key? The pass key is");
  const std::int64_t room =
      length - static_cast<std::int64_t>(needle.size()) - static_cast<std::int64_t>(question.size());
  Tokens filler = encode_prompt(tokenizer, "Here is a long story with a pass key in it.");
  fill_with_sentences(filler, std::max<std::int64_t>(room, 0), tokenizer, random);
  const auto at = static_cast<std::ptrdiff_t>(std::floor(depth * static_cast<double>(filler.size())));
  filler.insert(filler.begin() + at, needle.begin(), needle.end());
  filler.insert(filler.end(), question.begin(), question.end());
  return filler;
}

}  // namespace

nlohmann::ordered_json score_solutions(const std::vector<SolvedProblem>& problems) {
  TextSums greedy, sampled;
  double agreement = 0;
  for (const SolvedProblem& problem : problems) {
    for (std::size_t row = 0; row < problem.solutions.size(); ++row)
      (row == 0 ? greedy : sampled).add(problem.solutions[row], problem.answer);
    agreement += static_cast<double>(problem.tokens_until_difference);
  }
  const TextSums& told = sampled.texts > 0 ? sampled : greedy;
  return {{"accuracy", told.mean(told.correct)},
          {"greedy_accuracy", greedy.mean(greedy.correct)},
          {"answered", told.mean(told.answered)},
          {"mean_tokens", told.mean(told.tokens)},
          {"truncation_rate", told.mean(told.truncated)},
          {"greedy_truncation_rate", greedy.mean(greedy.truncated)},
          {"tokens_until_difference", greedy.mean(agreement)}};
}

nlohmann::ordered_json solve_problems(const TaskSetting& setting, const std::vector<Policy>& policies,
                                      const std::vector<PromptRow>& problems, const ChatTemplate& chat,
                                      const ProblemOptions& options,
                                      const std::function<void(std::int64_t)>& on_problems) {
  const Tokenizer& tokenizer = *setting.tokenizer;
  std::vector<SamplingOptions> samplings = {SamplingOptions{.temperature = 0}};
  for (std::int64_t sample = 0; sample < options.samples; ++sample)
    samplings.push_back({options.temperature, options.top_p, options.top_k});
  const GenerationLimits limits = limits_of(*setting.model, tokenizer, options.max_new_tokens);
  std::vector<std::vector<SolvedProblem>> solved(policies.size() + 1);
  for (const PromptRow& problem : problems) {
    require_running();
    const std::string text = prompt_text(problem, chat, options.instruction);
    const auto texts = generate_under_all(setting, policies, problem.source, encode_prompt(tokenizer, text),
                                          samplings, limits);
    require_running();
    const std::string answer = final_answer(problem.answer).value_or(problem.answer);
    for (std::size_t p = 0; p < texts.size(); ++p)
      solved[p].push_back(solved_problem(texts[p], texts[0][0], answer, tokenizer));
    if (on_problems) on_problems(1);
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t p = 0; p < solved.size(); ++p) json[policy_name(policies, p)] = score_solutions(solved[p]);
  return json;
}

const std::vector<double>& passkey_depths() {
  static const std::vector<double> depths = {0.1, 0.3, 0.5, 0.7, 0.9};
  return depths;
}

nlohmann::ordered_json find_passkeys(const TaskSetting& setting, const std::vector<Policy>& policies,
                                     std::int64_t length, std::int64_t keys,
                                     const std::function<void(std::int64_t)>& on_prompts) {
  const Tokenizer& tokenizer = *setting.tokenizer;
  const GenerationLimits limits = limits_of(*setting.model, tokenizer, kPasskeyNewTokens);
  std::vector<std::vector<double>> found(policies.size() + 1);
  for (std::size_t d = 0; d < passkey_depths().size(); ++d) {
    for (auto& own : found) own.push_back(0);
    for (std::int64_t i = 0; i < keys; ++i) {
      require_running();
      RandomStream random(static_cast<std::uint64_t>(setting.seed), "passkey",
                          {static_cast<std::int64_t>(d), i});
      const std::string key = std::to_string(10'000 + random.below(90'000));
      const Tokens prompt = passkey_prompt(tokenizer, length, passkey_depths()[d], key, random);
      const auto texts = generate_under_all(setting, policies, concat("passkey ", d, " ", i), prompt,
                                            {SamplingOptions{.temperature = 0}}, limits);
      for (std::size_t p = 0; p < texts.size(); ++p) {
        const bool hit = tokenizer.decode(texts[p][0]).find(key) != std::string::npos;
        found[p].back() += hit ? 1.0 / static_cast<double>(keys) : 0.0;
      }
      if (on_prompts) on_prompts(1);
    }
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t p = 0; p < found.size(); ++p) json[policy_name(policies, p)] = found[p];
  return json;
}

}  // namespace foresight
