#include "trainer/generation/generate_rows.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/generation/decoding.h"

namespace foresight {
std::vector<std::vector<std::int32_t>> generate_rows(
    const Transformer& model, const std::vector<std::int32_t>& prompt,
    const std::optional<EvictionSelector>& select, const CacheSize& size,
    const std::vector<SamplingOptions>& samplings, const GenerationLimits& limits,
    std::vector<RandomStream> randoms, const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  check_prompt(model, prompt.size(), limits);
  const auto rows = static_cast<std::int64_t>(samplings.size()),
             length = static_cast<std::int64_t>(prompt.size());
  if (samplings.empty() || samplings.size() != randoms.size()) {
    throw Error(ErrorKind::kInternal,
                concat("generation of rows: ", samplings.size(), " sampling options and ", randoms.size(),
                       " random streams, expected one of each a row"));
  }
  Decoding decoding(model, rows, length + limits.max_new_tokens, select, size);
  decoding.prefill(
      torch::tensor(prompt, torch::kInt32).to(torch::kInt64).unsqueeze(0).expand({rows, length}));
  std::vector<std::vector<std::int32_t>> generated(samplings.size());
  std::vector<bool> ended(samplings.size(), false);
  torch::Tensor next = torch::zeros({rows}, torch::kInt64);
  for (std::int64_t step = 0; !stop_requested(); ++step) {
    const torch::Tensor logits = next_logits(model, decoding.last(), limits);  // [R, vocabulary]
    for (std::size_t row = 0; row < samplings.size(); ++row) {
      if (ended[row]) continue;  // it continues with its last token, unseen
      const auto r = static_cast<std::int64_t>(row);
      const std::int32_t token = sample_token(logits[r], samplings[row], randoms[row]);
      generated[row].push_back(token);
      next[r] = token;
      ended[row] = std::count(limits.end_tokens.begin(), limits.end_tokens.end(), token) > 0;
    }
    if (on_tokens) on_tokens(std::count(ended.begin(), ended.end(), false));
    const bool all_ended = std::count(ended.begin(), ended.end(), false) == 0;
    if (all_ended || step + 1 >= limits.max_new_tokens) break;
    decoding.decode(next);
  }
  return generated;
}

}  // namespace foresight
