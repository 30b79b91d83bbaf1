// Tokens of traces that go through the model together.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace foresight {

/// N traces of one length. Implicit from tokens alone, of traces without a prompt.
struct TraceTokens {
  torch::Tensor tokens;                     ///< [N, L] int64
  std::vector<std::int64_t> prompt_tokens;  ///< of each trace; empty: none has a prompt

  TraceTokens(torch::Tensor rows,
              std::vector<std::int64_t> prompts = {})  // NOLINT(google-explicit-constructor)
      : tokens(std::move(rows)), prompt_tokens(std::move(prompts)) {}
};

}  // namespace foresight
