#include "trainer/evaluation/continuation.h"

#include <algorithm>
#include <set>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

std::int64_t continued_tokens(std::int64_t prompt_tokens, std::int64_t trace_tokens, const CacheSize& size) {
  if (prompt_tokens > 0 && prompt_tokens < trace_tokens) return prompt_tokens;
  return std::min(size.budget, trace_tokens);
}

std::vector<ContinuedPrompt> continued_prompts(const std::vector<RecordedTrace>& traces, std::int64_t count,
                                               const CacheSize& size) {
  std::vector<ContinuedPrompt> prompts;
  for (const RecordedTrace& trace : traces) {
    if (static_cast<std::int64_t>(prompts.size()) >= count) break;
    const std::int64_t tokens = continued_tokens(trace.prompt_tokens(), trace.length(), size);
    const torch::Tensor ids = trace.tokens.narrow(0, 0, tokens).to(torch::kInt32).contiguous();
    const std::int32_t* data = ids.const_data_ptr<std::int32_t>();
    prompts.push_back({trace.id, Tokens(data, data + tokens)});
  }
  return prompts;
}

double repetition(const Tokens& text) {
  const auto sequences = static_cast<std::int64_t>(text.size()) - kRepeatedTokens + 1;
  if (sequences < 1) return 0;
  std::set<Tokens> seen;
  std::int64_t repeated = 0;
  for (auto first = text.begin(); first + kRepeatedTokens <= text.end(); ++first)
    repeated += seen.insert(Tokens(first, first + kRepeatedTokens)).second ? 0 : 1;
  return static_cast<double>(repeated) / static_cast<double>(sequences);
}

nlohmann::ordered_json score_continuations(const std::vector<Tokens>& texts, const std::vector<Tokens>& full,
                                           const std::vector<std::int32_t>& end_tokens) {
  double until = 0, equal = 0, truncated = 0, tokens = 0, repeated = 0;
  std::vector<std::int64_t> each;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    each.push_back(equal_prefix(texts[i], full.at(i)));
    until += static_cast<double>(each.back());
    equal += texts[i] == full[i] ? 1 : 0;
    truncated += has_ended(texts[i], end_tokens) ? 0 : 1;
    tokens += static_cast<double>(texts[i].size());
    repeated += repetition(texts[i]);
  }
  const auto mean = [&](double sum) {
    return sum / static_cast<double>(std::max<std::size_t>(1, texts.size()));
  };
  return {{"tokens_until_difference", mean(until)}, {"equal_share", mean(equal)},
          {"truncation_rate", mean(truncated)},     {"mean_tokens", mean(tokens)},
          {"repetition", mean(repeated)},           {"prompt_tokens_until_difference", each}};
}

nlohmann::ordered_json continue_prompts(const TaskSetting& setting, const std::vector<Policy>& policies,
                                        const std::vector<ContinuedPrompt>& prompts,
                                        std::int64_t max_new_tokens,
                                        const std::function<void(std::int64_t)>& on_prompts) {
  const GenerationLimits limits = limits_of(*setting.model, *setting.tokenizer, max_new_tokens);
  std::vector<std::vector<Tokens>> texts(policies.size() + 1);
  for (const ContinuedPrompt& prompt : prompts) {
    require_running();
    auto written = generate_under_all(setting, policies, "continued " + prompt.name, prompt.tokens,
                                      {SamplingOptions{.temperature = 0}}, limits);
    require_running();
    for (std::size_t p = 0; p < texts.size(); ++p) texts[p].push_back(std::move(written[p][0]));
    if (on_prompts) on_prompts(1);
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (std::size_t p = 0; p < texts.size(); ++p)
    json[policy_name(policies, p)] = score_continuations(texts[p], texts[0], limits.end_tokens);
  return json;
}

}  // namespace foresight
