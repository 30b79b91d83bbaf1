#include "trainer/evaluation/recall.h"

#include <torch/utils.h>

#include <algorithm>
#include <array>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/generation/decoding.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// The places whose codes are planted.
constexpr std::array<const char*, 8> kPlaces = {"harbour", "library", "bakery", "station",
                                                "museum",  "garden",  "school", "theatre"};

/// Throws Error(kConfig) if `parts` have more tokens than `most`, the limit that `key` sets.
void require_fits(const char* parts, std::size_t tokens, std::int64_t most, const char* limit,
                  const char* key) {
  if (static_cast<std::int64_t>(tokens) <= most) return;
  throw Error(ErrorKind::kConfig, concat("evaluation.recall_facts: ", parts, " of a planted fact have ",
                                         tokens, " tokens, expected at most ", most, " (", limit, "); raise ",
                                         key, " or set evaluation.recall_facts: 0"));
}

void overwrite(Tokens& text, std::int64_t at, const Tokens& with) {
  std::copy(with.begin(), with.end(), text.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Texts as [rows, T].
torch::Tensor stacked(const std::vector<const Tokens*>& texts) {
  std::vector<torch::Tensor> rows;
  for (const Tokens* text : texts) rows.push_back(torch::tensor(*text, torch::kInt32).to(torch::kInt64));
  return torch::stack(rows);
}

/// Adds what `hidden` [R, hidden] predicts of token `at` of the rows whose answer it belongs to.
void add_predictions(const Transformer& model, const torch::Tensor& hidden, const torch::Tensor& texts,
                     std::int64_t at, const std::vector<std::int64_t>& answer_tokens, AnswerScores& scores) {
  const torch::Tensor logits = model.logits(hidden).to(torch::kCPU, torch::kFloat64);  // [R, vocabulary]
  const torch::Tensor wanted = texts.select(1, at);
  const torch::Tensor log_probability =
      torch::log_softmax(logits, -1).gather(1, wanted.unsqueeze(1)).squeeze(1);
  const torch::Tensor likeliest = logits.argmax(-1) == wanted;
  for (std::size_t row = 0; row < answer_tokens.size(); ++row) {
    if (at < texts.size(1) - answer_tokens[row]) continue;
    const auto r = static_cast<std::int64_t>(row);
    scores.log_probability[row] += log_probability[r].item<double>();
    if (!likeliest[r].item<bool>()) scores.likeliest[row] = false;
  }
}

/// Plants facts begin .. begin + facts - 1 and scores their answers under everything.
void add_facts(const TaskSetting& setting, const std::vector<Policy>& policies, std::int64_t evictions,
               std::int64_t begin, std::int64_t facts, RecallScores& scores,
               const std::function<void(std::int64_t)>& on_tokens) {
  std::vector<PlantedText> texts;
  std::vector<const Tokens*> both, stated;
  std::vector<std::int64_t> answers;
  std::vector<std::string> names;
  for (std::int64_t i = begin; i < begin + facts; ++i) {
    texts.push_back(planted_text(*setting.tokenizer, setting.size, evictions, i, setting.seed));
    answers.push_back(texts.back().answer_tokens);
    names.push_back(concat("planted fact ", evictions, " ", i));
  }
  for (const PlantedText& text : texts) stated.push_back(&text.stated);
  both = stated;
  for (const PlantedText& text : texts) both.push_back(&text.never);
  const auto repeated = [&](std::size_t copies) {
    std::vector<std::int64_t> all;
    for (std::size_t copy = 0; copy < copies; ++copy) all.insert(all.end(), answers.begin(), answers.end());
    return all;
  };
  const std::int64_t prompt = texts.front().prompt_tokens;
  const AnswerScores full = score_answers(*setting.model, stacked(both), prompt, repeated(2), std::nullopt,
                                          setting.size, on_tokens);
  const auto middle = static_cast<std::ptrdiff_t>(facts);
  scores.full.insert(scores.full.end(), full.log_probability.begin(), full.log_probability.begin() + middle);
  scores.never.insert(scores.never.end(), full.log_probability.begin() + middle, full.log_probability.end());
  scores.full_found.insert(scores.full_found.end(), full.likeliest.begin(), full.likeliest.begin() + middle);
  if (policies.empty()) return;
  const auto copies = static_cast<std::int64_t>(policies.size());
  const AnswerScores evicted =
      score_answers(*setting.model, stacked(stated).repeat({copies, 1}), prompt, repeated(policies.size()),
                    policies_on_rows(policies, names), setting.size, on_tokens);
  for (std::size_t p = 0; p < policies.size(); ++p) {
    const auto first = static_cast<std::ptrdiff_t>(p) * middle, end = first + middle;
    scores.policies[p].insert(scores.policies[p].end(), evicted.log_probability.begin() + first,
                              evicted.log_probability.begin() + end);
    scores.found[p].insert(scores.found[p].end(), evicted.likeliest.begin() + first,
                           evicted.likeliest.begin() + end);
  }
}

}  // namespace

std::int64_t planted_tokens(const CacheSize& size, std::int64_t evictions) {
  return size.budget + (evictions + 1) * size.window;
}

PlantedText planted_text(const Tokenizer& tokenizer, const CacheSize& size, std::int64_t evictions,
                         std::int64_t index, std::int64_t seed) {
  RandomStream random(static_cast<std::uint64_t>(seed), "planted fact", {evictions, index});
  const char* place = kPlaces[static_cast<std::size_t>(index) % kPlaces.size()];
  const std::string code = std::to_string(10'000 + random.below(90'000));
  const Tokens opening = encode_prompt(tokenizer, "Here is a long story."),
               fact = tokenizer.encode(concat(" The code of the ", place, " is ", code, ".")),
               question = tokenizer.encode(
                   concat(" What is the code of the ", place, "? The code of the ", place, " is")),
               answer = tokenizer.encode(" " + code);
  require_fits("opening and statement", opening.size() + fact.size(), size.budget, "the budget",
               "eviction.budget");
  require_fits("the answer's tokens", answer.size(), size.window, "a window", "eviction.window");
  require_fits("question and answer", question.size() + answer.size(), 2 * size.window, "two windows",
               "eviction.window");
  PlantedText text;
  const std::int64_t length = planted_tokens(size, evictions);
  text.prompt_tokens = static_cast<std::int64_t>(opening.size());
  text.answer_tokens = static_cast<std::int64_t>(answer.size());
  text.never = opening;
  fill_with_sentences(text.never, length, tokenizer, random);
  overwrite(text.never, length - text.answer_tokens, answer);
  overwrite(text.never, length - text.answer_tokens - static_cast<std::int64_t>(question.size()), question);
  text.stated = text.never;
  overwrite(text.stated, size.budget - static_cast<std::int64_t>(fact.size()), fact);
  return text;
}

AnswerScores score_answers(const Transformer& model, const torch::Tensor& texts, std::int64_t prompt_tokens,
                           const std::vector<std::int64_t>& answer_tokens,
                           const std::optional<EvictionSelector>& select, const CacheSize& size,
                           const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  const auto done = [&](std::int64_t tokens) {
    if (on_tokens) on_tokens(tokens * texts.size(0));
  };
  const std::int64_t length = texts.size(1);
  const std::int64_t first = length - *std::max_element(answer_tokens.begin(), answer_tokens.end());
  AnswerScores scores{.log_probability = std::vector<double>(answer_tokens.size(), 0),
                      .likeliest = std::vector<bool>(answer_tokens.size(), true)};
  Decoding decoding(model, texts.size(0), length, select, size);
  const std::int64_t prefilled = select ? prompt_tokens : first;
  decoding.prefill(texts.narrow(1, 0, prefilled), done);
  for (std::int64_t at = prefilled; at < length; ++at) {
    require_running();
    if (at >= first) add_predictions(model, decoding.last(), texts, at, answer_tokens, scores);
    if (at + 1 < length) decoding.decode(texts.select(1, at));
    done(1);
  }
  return scores;
}

RecallOptions recall_options(const Config& config) {
  return {.facts = config.evaluation.recall_facts,
          .evictions = config.evaluation.recall_evictions,
          .rows_per_pass = config.evaluation.rows_per_pass};
}

std::int64_t facts_together(const RecallOptions& options, std::int64_t policies) {
  return std::max<std::int64_t>(1, options.rows_per_pass / std::max<std::int64_t>(2, policies));
}

std::int64_t recall_tokens(const CacheSize& size, const RecallOptions& options, std::int64_t policies) {
  std::int64_t tokens = 0;
  for (const std::int64_t evictions : options.evictions) tokens += planted_tokens(size, evictions);
  return tokens * options.facts * (policies + 2);
}

nlohmann::ordered_json measure_recall(const TaskSetting& setting, const std::vector<Policy>& policies,
                                      const RecallOptions& options,
                                      const std::function<void(std::int64_t)>& on_tokens) {
  const auto count = static_cast<std::int64_t>(policies.size());
  const std::int64_t together = facts_together(options, count);
  std::vector<RecallScores> by_distance;
  for (const std::int64_t evictions : options.evictions) {
    RecallScores& scores = by_distance.emplace_back();
    scores.policies.resize(policies.size());
    scores.found.resize(policies.size());
    for (std::int64_t begin = 0; begin < options.facts; begin += together) {
      const std::int64_t facts = std::min(together, options.facts - begin);
      add_facts(setting, policies, evictions, begin, facts, scores, on_tokens);
    }
  }
  std::vector<std::string> names;
  for (const Policy& policy : policies) names.push_back(policy.name);
  return recall_json(by_distance, names, options, static_cast<std::uint64_t>(setting.seed));
}

}  // namespace foresight
