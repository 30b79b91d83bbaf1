#include "trainer/evaluation/problems.h"

#include <algorithm>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/continuation.h"
#include "trainer/evaluation/cost.h"
#include "trainer/evaluation/recall.h"
#include "trainer/evaluation/tasks.h"
#include "trainer/generation/generate.h"
#include "trainer/text/chat_rows.h"
#include "trainer/text/tokenize_row.h"

namespace foresight {
namespace {

/// check_prompt() with `what` in front of its message.
void require_room_behind(const std::string& what, const Transformer& model, std::size_t prompt_tokens,
                         std::int64_t new_tokens) {
  try {
    check_prompt(model, prompt_tokens, {new_tokens, {}});
  } catch (const Error& error) {
    throw Error(error.kind(), concat(what, ": ", error.what()));
  }
}

/// Builds every planted text once to check that its parts fit the cache, and the text the model's positions.
void require_planted_facts(const Config& config, const Transformer& model, const Tokenizer& tokenizer) {
  const RecallOptions options = recall_options(config);
  const std::int64_t most = model.shape().max_positions;
  for (const std::int64_t evictions : options.facts > 0 ? options.evictions : std::vector<std::int64_t>{}) {
    const std::int64_t tokens = planted_tokens(config.eviction, evictions);
    if (tokens > most) {
      throw Error(ErrorKind::kConfig,
                  concat("evaluation.recall_evictions: a fact that is asked for after ", evictions,
                         " evictions needs a text of ", tokens, " tokens, expected at most the model's ",
                         most, " positions: remove this distance, or lower eviction.window"));
    }
    for (std::int64_t fact = 0; fact < options.facts; ++fact)
      planted_text(tokenizer, config.eviction, evictions, fact, config.runtime.seed);
  }
}

}  // namespace

std::vector<PromptRow> read_problems(const EvaluationConfig& config) {
  std::vector<PromptRow> problems;
  for (const std::string& file : config.tasks) {
    for (PromptRow& row : read_prompt_rows(file)) {
      if (static_cast<std::int64_t>(problems.size()) >= config.task_problems) return problems;
      if (row.answer.empty())
        throw Error(ErrorKind::kInput, concat("evaluation.tasks: ", file, ": ", row.source,
                                              " has no \"answer\", which a task needs"));
      problems.push_back(std::move(row));
    }
  }
  return problems;
}

void require_generation_inputs(const Config& config, const Transformer& model, const Tokenizer& tokenizer) {
  const EvaluationConfig& own = config.evaluation;
  if (!own.tasks.empty()) {
    const ChatTemplate chat = ChatTemplate::load(config.model.path, config.model.template_date);
    for (const PromptRow& problem : read_problems(own)) {
      const std::string text = prompt_text(problem, chat, own.task_instruction);
      require_room_behind(concat("evaluation.tasks: ", problem.source), model,
                          encode_prompt(tokenizer, text).size(), config.generation.max_new_tokens);
    }
  }
  if (own.passkey_tokens > 0) {
    require_room_behind("evaluation.passkey_tokens", model, static_cast<std::size_t>(own.passkey_tokens),
                        kPasskeyNewTokens);
  }
  require_planted_facts(config, model, tokenizer);
  require_contexts({config.eviction, own.cost_contexts, own.cost_batch}, model.shape().max_positions);
}

void require_continued_prompts(const Config& config, const Transformer& model, const Completions& traces) {
  const auto asked = static_cast<std::size_t>(config.evaluation.continued_prompts);
  for (std::size_t i = 0; i < std::min(asked, traces.size()); ++i) {
    const auto first = std::find(traces[i].begin(), traces[i].end(), 1);
    const std::int64_t tokens = continued_tokens(
        first - traces[i].begin(), static_cast<std::int64_t>(traces[i].size()), config.eviction);
    require_room_behind(concat("evaluation.continued_prompts: evaluation trace ", i), model,
                        static_cast<std::size_t>(tokens), config.generation.max_new_tokens);
  }
}

}  // namespace foresight
