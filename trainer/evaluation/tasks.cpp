#include "trainer/evaluation/tasks.h"

#include <algorithm>
#include <cmath>

#include "data/answers.h"
#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/generation/generate_rows.h"
#include "trainer/text/chat_rows.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

using Tokens = std::vector<std::int32_t>;

void require_running() {
  if (stop_requested())
    throw Error(ErrorKind::kInterrupted,
                "evaluate: stopped; run the same command again, which starts the tasks from the beginning");
}

/// Rows of a prompt under the full cache and under every policy: [policies + 1][row], "full" first. `name`
/// belongs to the prompt and makes the streams: row r has the same stream under every policy.
std::vector<std::vector<Tokens>> generate_under_all(const TaskSetting& setting,
                                                    const std::vector<Policy>& policies,
                                                    const std::string& name, const Tokens& prompt,
                                                    const std::vector<SamplingOptions>& samplings,
                                                    const GenerationLimits& limits) {
  const auto streams = [&](std::size_t copies) {
    std::vector<RandomStream> randoms;
    for (std::size_t copy = 0; copy < copies; ++copy) {
      for (std::size_t row = 0; row < samplings.size(); ++row) {
        randoms.emplace_back(static_cast<std::uint64_t>(setting.seed), "task " + name,
                             std::initializer_list<std::int64_t>{static_cast<std::int64_t>(row)});
      }
    }
    return randoms;
  };
  std::vector<std::vector<Tokens>> texts = {
      generate_rows(*setting.model, prompt, std::nullopt, setting.size, samplings, limits, streams(1))};
  if (policies.empty()) return texts;
  // A policy that draws at random draws by the name of the trace: each row is one.
  std::vector<RecordedTrace> rows(samplings.size());
  std::vector<const RecordedTrace*> pointers;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rows[row].id = concat(name, " row ", row);
    pointers.push_back(&rows[row]);
  }
  std::vector<EvictionSelector> selectors;
  std::vector<SamplingOptions> all_samplings;
  for (const Policy& policy : policies) {
    selectors.push_back(policy.make(pointers));
    all_samplings.insert(all_samplings.end(), samplings.begin(), samplings.end());
  }
  const auto generated = generate_rows(*setting.model, prompt, side_by_side(std::move(selectors)),
                                       setting.size, all_samplings, limits, streams(policies.size()));
  for (std::size_t p = 0; p < policies.size(); ++p) {
    const auto first = generated.begin() + static_cast<std::ptrdiff_t>(p * samplings.size());
    texts.emplace_back(first, first + static_cast<std::ptrdiff_t>(samplings.size()));
  }
  return texts;
}

std::size_t equal_prefix(const Tokens& one, const Tokens& two) {
  return static_cast<std::size_t>(std::mismatch(one.begin(), one.end(), two.begin(), two.end()).first -
                                  one.begin());
}

/// What a policy wrote for a problem, as it is scored.
SolvedProblem solved_problem(const std::vector<Tokens>& rows, const Tokens& full_greedy,
                             const std::string& answer, const Tokenizer& tokenizer) {
  const auto& ends = tokenizer.end_of_sequence();
  SolvedProblem solved;
  solved.answer = answer;
  for (const Tokens& row : rows) {
    solved.solutions.push_back({tokenizer.decode(row, /*skip_special_tokens=*/true),
                                static_cast<std::int64_t>(row.size()),
                                std::find(ends.begin(), ends.end(), row.back()) != ends.end()});
  }
  solved.tokens_until_difference = static_cast<std::int64_t>(equal_prefix(rows[0], full_greedy));
  return solved;
}

std::string policy_name(const std::vector<Policy>& policies, std::size_t index) {
  return index == 0 ? "full" : policies[index - 1].name;
}

/// Sentences to hide a number in; written for this project.
const std::vector<std::string>& filler_sentences() {
  static const std::vector<std::string> sentences = {
      "The ferry left the pier a little after noon.",
      "A light rain had fallen over the harbour since morning.",
      "Two gulls sat on the railing and watched the crates.",
      "Nobody on deck was in a hurry that day.",
      "The cook sliced bread and sang an old tune.",
      "Behind the hills the road turned towards the mill.",
      "An engineer wrote a few lines into her notebook.",
      "Children counted the boats that came around the cape.",
      "The lamp in the window burned until late.",
      "Somebody had painted the door a pale green."};
  return sentences;
}

/// Tokens of a text of about `length` tokens with `key` at `depth`, ending in the question.
Tokens passkey_prompt(const Tokenizer& tokenizer, std::int64_t length, double depth, const std::string& key,
                      RandomStream& random) {
  const Tokens needle =
      tokenizer.encode(concat(" The pass key is ", key, ". Remember it: ", key, " is the pass key."));
  const Tokens question = tokenizer.encode(" What is the pass key? The pass key is");
  const std::int64_t room =
      length - static_cast<std::int64_t>(needle.size()) - static_cast<std::int64_t>(question.size());
  Tokens filler = encode_prompt(tokenizer, "Here is a long story with a pass key in it.");
  while (static_cast<std::int64_t>(filler.size()) < room) {
    const auto& sentences = filler_sentences();
    const auto pick = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(sentences.size())));
    const Tokens sentence = tokenizer.encode(" " + sentences[pick]);
    filler.insert(filler.end(), sentence.begin(), sentence.end());
  }
  filler.resize(static_cast<std::size_t>(std::max<std::int64_t>(room, 0)));
  const auto at = static_cast<std::ptrdiff_t>(std::floor(depth * static_cast<double>(filler.size())));
  filler.insert(filler.begin() + at, needle.begin(), needle.end());
  filler.insert(filler.end(), question.begin(), question.end());
  return filler;
}

}  // namespace

nlohmann::ordered_json score_solutions(const std::vector<SolvedProblem>& problems) {
  double greedy_correct = 0, sampled_correct = 0, answered = 0, tokens = 0, truncated = 0, agreement = 0;
  std::int64_t texts = 0, samples = 0;
  for (const SolvedProblem& problem : problems) {
    for (std::size_t row = 0; row < problem.solutions.size(); ++row) {
      const Solution& solution = problem.solutions[row];
      const auto found = final_answer(solution.text);
      (row == 0 ? greedy_correct : sampled_correct) += found && same_answer(*found, problem.answer) ? 1 : 0;
      answered += found ? 1 : 0;
      tokens += static_cast<double>(solution.tokens);
      truncated += solution.ended ? 0 : 1;
      samples += row == 0 ? 0 : 1;
      ++texts;
    }
    agreement += static_cast<double>(problem.tokens_until_difference);
  }
  const auto share = [](double sum, std::int64_t count) {
    return sum / static_cast<double>(std::max<std::int64_t>(count, 1));
  };
  const auto count = static_cast<std::int64_t>(problems.size());
  const double greedy = share(greedy_correct, count);
  return {{"accuracy", samples > 0 ? share(sampled_correct, samples) : greedy},
          {"greedy_accuracy", greedy},
          {"answered", share(answered, texts)},
          {"mean_tokens", share(tokens, texts)},
          {"truncation_rate", share(truncated, texts)},
          {"tokens_until_difference", share(agreement, count)}};
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
