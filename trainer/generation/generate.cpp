#include "trainer/generation/generate.h"

#include <torch/utils.h>

#include <algorithm>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/generation/decoding.h"

namespace foresight {
namespace {

bool ends(const GenerationLimits& limits, std::int32_t token) {
  return std::find(limits.end_tokens.begin(), limits.end_tokens.end(), token) != limits.end_tokens.end();
}

}  // namespace

GenerationLimits limits_of(const Transformer& model, const Tokenizer& tokenizer,
                           std::int64_t max_new_tokens) {
  return {max_new_tokens, tokenizer.end_of_sequence(),
          tokenizer.ids_without_token(model.shape().vocabulary_size)};
}

torch::Tensor next_logits(const Transformer& model, const torch::Tensor& hidden,
                          const GenerationLimits& limits) {
  torch::Tensor logits = model.logits(hidden).to(torch::kCPU);
  if (!limits.never.empty()) {
    const torch::Tensor ids = torch::tensor(limits.never, torch::kInt32).to(torch::kInt64);
    logits.index_fill_(-1, ids, -std::numeric_limits<double>::infinity());
  }
  return logits;
}

void check_prompt(const Transformer& model, std::size_t prompt_tokens, const GenerationLimits& limits) {
  if (prompt_tokens == 0) throw Error(ErrorKind::kConfig, "generation: the prompt is empty");
  const std::int64_t total = static_cast<std::int64_t>(prompt_tokens) + limits.max_new_tokens;
  if (total > model.shape().max_positions) {
    throw Error(ErrorKind::kConfig,
                concat("generation: prompt of ", prompt_tokens, " tokens and ", limits.max_new_tokens,
                       " new ones exceed the model's ", model.shape().max_positions,
                       " positions: shorten the prompt or lower max_new_tokens"));
  }
}

std::vector<std::int32_t> generate(const Transformer& model, const std::vector<std::int32_t>& prompt,
                                   const std::optional<EvictionSelector>& select, const CacheSize& size,
                                   const SamplingOptions& sampling, const GenerationLimits& limits,
                                   RandomStream random, const std::function<void(std::int32_t)>& on_token) {
  const torch::NoGradGuard no_grad;
  check_prompt(model, prompt.size(), limits);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  Decoding decoding(model, 1, prompt_tokens + limits.max_new_tokens, select, size);
  decoding.prefill(torch::tensor(prompt, torch::kInt32).to(torch::kInt64).unsqueeze(0));
  std::vector<std::int32_t> generated;
  while (!stop_requested()) {
    const std::int32_t token = sample_token(next_logits(model, decoding.last(), limits)[0], sampling, random);
    generated.push_back(token);
    if (on_token) on_token(token);
    if (ends(limits, token) || static_cast<std::int64_t>(generated.size()) >= limits.max_new_tokens) break;
    decoding.decode(torch::full({1}, token, torch::kInt64));
  }
  return generated;
}

std::vector<std::vector<std::int32_t>> generate_batch(const Transformer& model,
                                                      const std::vector<std::vector<std::int32_t>>& prompts,
                                                      const SamplingOptions& sampling,
                                                      const GenerationLimits& limits,
                                                      std::vector<RandomStream> randoms,
                                                      const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  std::int64_t longest = 0;
  for (const auto& prompt : prompts) {
    check_prompt(model, prompt.size(), limits);
    longest = std::max(longest, static_cast<std::int64_t>(prompt.size()));
  }
  const auto rows = static_cast<std::int64_t>(prompts.size());
  torch::Tensor tokens = torch::zeros({rows, longest}, torch::kInt64);
  torch::Tensor padding = torch::zeros({rows}, torch::kInt64);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto& prompt = prompts[static_cast<std::size_t>(row)];
    const auto length = static_cast<std::int64_t>(prompt.size());
    padding[row] = longest - length;
    tokens[row].narrow(0, longest - length, length).copy_(torch::tensor(prompt, torch::kInt32));
  }
  Decoding decoding(model, rows, longest + limits.max_new_tokens, /*select=*/std::nullopt, {});
  decoding.set_padding(padding);
  decoding.prefill(tokens);
  std::vector<std::vector<std::int32_t>> generated(prompts.size());
  std::vector<std::int64_t> running(prompts.size());  // index of each row that still runs
  for (std::size_t i = 0; i < prompts.size(); ++i) running[i] = static_cast<std::int64_t>(i);
  for (std::int64_t step = 0; step < limits.max_new_tokens && !running.empty() && !stop_requested(); ++step) {
    const torch::Tensor logits = next_logits(model, decoding.last(), limits);
    std::vector<std::int64_t> next_tokens, still, kept;
    for (std::size_t i = 0; i < running.size(); ++i) {
      const auto row = static_cast<std::size_t>(running[i]);
      const std::int32_t token = sample_token(logits[static_cast<std::int64_t>(i)], sampling, randoms[row]);
      generated[row].push_back(token);
      if (ends(limits, token)) continue;
      still.push_back(running[i]);
      kept.push_back(static_cast<std::int64_t>(i));
      next_tokens.push_back(token);
    }
    if (on_tokens) on_tokens(static_cast<std::int64_t>(running.size()));
    if (still.size() < running.size() && !still.empty())
      decoding.keep_rows(torch::tensor(kept, torch::kInt64));
    running = std::move(still);
    if (running.empty() || step + 1 == limits.max_new_tokens) break;
    decoding.decode(torch::tensor(next_tokens, torch::kInt64));
  }
  return generated;
}

}  // namespace foresight
