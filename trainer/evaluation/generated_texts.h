// Shared by all measures of generated or decoded text: rows of a prompt under every policy, and filler.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/base/random.h"
#include "trainer/config/cache_size.h"
#include "trainer/evaluation/policies.h"
#include "trainer/generation/generate.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

using Tokens = std::vector<std::int32_t>;

/// What generation depends on besides the policies.
struct TaskSetting {
  const Transformer* model = nullptr;
  const Tokenizer* tokenizer = nullptr;
  CacheSize size;
  std::int64_t seed = 1;
};

/// Throws Error(kInterrupted) after a stop signal.
void require_running();

/// "full" for index 0, then the policies in order.
std::string policy_name(const std::vector<Policy>& policies, std::size_t index);

/// The selector of all policies on `names.size()` rows each, row p * N + n being policy p on row n. A policy
/// with random choices seeds them by the row's name.
EvictionSelector policies_on_rows(const std::vector<Policy>& policies, const std::vector<std::string>& names);

/// Rows of a prompt under the full cache and under every policy: [policies + 1][row], "full" first. `name`
/// identifies the prompt and names the random streams: row r has the same stream under every policy.
std::vector<std::vector<Tokens>> generate_under_all(const TaskSetting& setting,
                                                    const std::vector<Policy>& policies,
                                                    const std::string& name, const Tokens& prompt,
                                                    const std::vector<SamplingOptions>& samplings,
                                                    const GenerationLimits& limits);

/// Tokens that two texts have in common at their beginning.
std::int64_t equal_prefix(const Tokens& one, const Tokens& two);

/// True when the text ends with a token that ends generation, and not by the limit.
bool has_ended(const Tokens& text, const std::vector<std::int32_t>& end_tokens);

/// Lengthens `text` to `length` tokens with sentences of filler that `random` chooses, or cuts it if it is
/// longer.
void fill_with_sentences(Tokens& text, std::int64_t length, const Tokenizer& tokenizer, RandomStream& random);

}  // namespace foresight
