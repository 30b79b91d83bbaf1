#include "trainer/evaluation/generation_measures.h"

#include <algorithm>
#include <functional>
#include <string>

#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/continuation.h"
#include "trainer/evaluation/problems.h"
#include "trainer/evaluation/recall.h"
#include "trainer/evaluation/tasks.h"
#include "trainer/text/chat_template.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;
using OnDone = std::function<void(std::int64_t)>;

/// What `measure(on_done)` returns, under a progress bar of `total` units.
template <class Measure>
Json with_progress(const char* title, const char* unit, std::int64_t total, const Measure& measure) {
  Progress progress(title, unit, total);
  std::int64_t done = 0;
  Json json = measure([&](std::int64_t count) { progress.update(done += count); });
  progress.finish();
  return json;
}

/// Problems solved under every policy.
Json measured_problems(const Config& config, const TaskSetting& setting,
                       const std::vector<Policy>& policies) {
  const EvaluationConfig& own = config.evaluation;
  const std::vector<PromptRow> problems = read_problems(own);
  const ProblemOptions options{.samples = own.task_samples,
                               .max_new_tokens = config.generation.max_new_tokens,
                               .temperature = config.generation.temperature,
                               .top_p = config.generation.top_p,
                               .top_k = config.generation.top_k,
                               .instruction = own.task_instruction};
  const auto solve = [&](const OnDone& on_done) {
    const ChatTemplate chat = ChatTemplate::load(config.model.path, config.model.template_date);
    return solve_problems(setting, policies, problems, chat, options, on_done);
  };
  const auto count = static_cast<std::int64_t>(problems.size());
  return {{"task", join(own.tasks, ", ")},
          {"problems", count},
          {"samples", own.task_samples},
          {"policies", with_progress("tasks", "problems", count, solve)}};
}

/// Numbers found in long texts under every policy.
Json measured_passkeys(const Config& config, const TaskSetting& setting,
                       const std::vector<Policy>& policies) {
  const EvaluationConfig& own = config.evaluation;
  const auto find = [&](const OnDone& on_done) {
    return find_passkeys(setting, policies, own.passkey_tokens, own.passkey_keys, on_done);
  };
  const auto depths = static_cast<std::int64_t>(passkey_depths().size());
  return {{"length", own.passkey_tokens},
          {"keys", own.passkey_keys},
          {"depths", passkey_depths()},
          {"policies", with_progress("passkey", "prompts", own.passkey_keys * depths, find)}};
}

/// Prompts of the evaluation traces continued greedily under every policy.
Json measured_continuations(const Config& config, const TaskSetting& setting,
                            const std::vector<Policy>& policies, const std::vector<RecordedTrace>& traces) {
  const std::int64_t most = config.generation.max_new_tokens;
  const auto prompts = continued_prompts(traces, config.evaluation.continued_prompts, setting.size);
  const auto measure = [&](const OnDone& on_done) {
    return continue_prompts(setting, policies, prompts, most, on_done);
  };
  const auto count = static_cast<std::int64_t>(prompts.size());
  return {{"prompts", count},
          {"max_new_tokens", most},
          {"policies", with_progress("continued", "prompts", count, measure)}};
}

}  // namespace

std::vector<Policy> generating_policies(const PolicySet& set) {
  std::vector<Policy> policies;
  for (const Policy& policy : set.policies) {
    const bool again = std::any_of(policies.begin(), policies.end(),
                                   [&](const Policy& known) { return known.name == policy.name; });
    if (policy.name != "golden" && !again) policies.push_back(policy);
  }
  return policies;
}

nlohmann::ordered_json measured_generation(const Config& config, const Transformer& model,
                                           const Tokenizer& tokenizer, const PolicySet& set,
                                           const std::vector<RecordedTrace>& traces) {
  const EvaluationConfig& own = config.evaluation;
  const TaskSetting setting{&model, &tokenizer, set.size, config.runtime.seed};
  const std::vector<Policy> policies = generating_policies(set);
  Json json = Json::object();
  if (!own.tasks.empty()) json = measured_problems(config, setting, policies);
  if (own.continued_prompts > 0)
    json["continued"] = measured_continuations(config, setting, policies, traces);
  if (own.passkey_tokens > 0) json["passkey"] = measured_passkeys(config, setting, policies);
  return json;
}

nlohmann::ordered_json measured_recall(const Config& config, const Transformer& model,
                                       const Tokenizer& tokenizer, const PolicySet& set) {
  const RecallOptions options = recall_options(config);
  if (options.facts == 0) return nullptr;
  const TaskSetting setting{&model, &tokenizer, set.size, config.runtime.seed};
  const std::vector<Policy> policies = generating_policies(set);
  return with_progress(
      "recall", "tokens", recall_tokens(set.size, options, static_cast<std::int64_t>(policies.size())),
      [&](const OnDone& on_done) { return measure_recall(setting, policies, options, on_done); });
}

}  // namespace foresight
