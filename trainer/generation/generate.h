// Text generation: one sequence under any policy, or many with the full cache.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/eviction_view.h"
#include "trainer/generation/sampling.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// What ends a generation, and which tokens are never sampled.
struct GenerationLimits {
  std::int64_t max_new_tokens = 512;
  std::vector<std::int32_t> end_tokens;
  std::vector<std::int32_t> never = {};  ///< ids of the model that have no token
};

/// The limits of a model with this tokenizer.
GenerationLimits limits_of(const Transformer& model, const Tokenizer& tokenizer, std::int64_t max_new_tokens);

/// Logits [..., vocabulary] of the next token for `hidden` [..., hidden], on the CPU; ids that are never
/// sampled have -inf.
torch::Tensor next_logits(const Transformer& model, const torch::Tensor& hidden,
                          const GenerationLimits& limits);

/// Throws Error(kConfig) for an empty prompt, or one that leaves no room for max_new_tokens in the model's
/// positions.
void check_prompt(const Transformer& model, std::size_t prompt_tokens, const GenerationLimits& limits);

/// Continues `prompt` [L]. With a selector the cache holds at most budget + window entries and evicts as it
/// fills, in the prompt too (docs/method.md, "The cache"); without one it keeps everything. `on_token` sees
/// each new token. Returns the new tokens, the ending one included. Throws Error(kConfig) for an empty prompt
/// or one beyond the model's positions.
std::vector<std::int32_t> generate(const Transformer& model, const std::vector<std::int32_t>& prompt,
                                   const std::optional<EvictionSelector>& select, const CacheSize& size,
                                   const SamplingOptions& sampling, const GenerationLimits& limits,
                                   RandomStream random,
                                   const std::function<void(std::int32_t)>& on_token = {});

/// Continues several prompts at once with the full cache; prompts of different length are padded on the left
/// and rows leave the batch as they end. randoms: one stream a prompt, so that a row's text does not depend
/// on its batch.
std::vector<std::vector<std::int32_t>> generate_batch(
    const Transformer& model, const std::vector<std::vector<std::int32_t>>& prompts,
    const SamplingOptions& sampling, const GenerationLimits& limits, std::vector<RandomStream> randoms,
    const std::function<void(std::int64_t)>& on_tokens = {});

}  // namespace foresight
