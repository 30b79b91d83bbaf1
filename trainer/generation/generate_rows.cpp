#include "trainer/generation/generate_rows.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/full_cache.h"

namespace foresight {
namespace {

constexpr std::int64_t kPrefillChunk = 256;

/// Hidden state of the prompt's last token in every row: [R, hidden].
torch::Tensor prefill(const Transformer& model, const torch::Tensor& prompt, std::int64_t rows,
                      Attention& cache, const EvictingCache* evicting) {
  const torch::Tensor repeated = prompt.unsqueeze(0).expand({rows, prompt.size(0)});
  torch::Tensor hidden;
  for (std::int64_t first = 0; first < prompt.size(0);) {
    std::int64_t count = std::min(kPrefillChunk, prompt.size(0) - first);
    if (evicting != nullptr) count = std::min(count, evicting->room());
    hidden = model.forward(repeated.narrow(1, first, count), torch::arange(first, first + count), cache);
    first += count;
  }
  return hidden.select(1, hidden.size(1) - 1);
}

}  // namespace

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
  std::optional<FullCache> full;
  std::optional<EvictingCache> evicting;
  if (select) {
    evicting.emplace(model.shape(), rows, size.budget, size.window, kEndless, *select,
                     model.options().device);
  } else {
    full.emplace(model.shape(), rows, length + limits.max_new_tokens, model.options());
  }
  Attention& cache = select ? static_cast<Attention&>(*evicting) : static_cast<Attention&>(*full);
  torch::Tensor last = prefill(model, torch::tensor(prompt, torch::kInt32).to(torch::kInt64), rows, cache,
                               select ? &*evicting : nullptr);
  std::vector<std::vector<std::int32_t>> generated(samplings.size());
  std::vector<bool> ended(samplings.size(), false);
  torch::Tensor next = torch::zeros({rows, 1}, torch::kInt64);
  for (std::int64_t step = 0; !stop_requested(); ++step) {
    const torch::Tensor logits = next_logits(model, last, limits);  // [R, vocabulary]
    for (std::size_t row = 0; row < samplings.size(); ++row) {
      if (ended[row]) continue;  // it goes on with its last token, unseen
      const auto r = static_cast<std::int64_t>(row);
      const std::int32_t token = sample_token(logits[r], samplings[row], randoms[row]);
      generated[row].push_back(token);
      next[r][0] = token;
      ended[row] = std::count(limits.end_tokens.begin(), limits.end_tokens.end(), token) > 0;
    }
    if (on_tokens) on_tokens(std::count(ended.begin(), ended.end(), false));
    const bool all_ended = std::count(ended.begin(), ended.end(), false) == 0;
    if (all_ended || step + 1 >= limits.max_new_tokens) break;
    last = model.forward(next, torch::full({1}, length + step, torch::kInt64), cache).select(1, 0);
  }
  return generated;
}

}  // namespace foresight
