#include "trainer/evaluation/cost.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/full_cache.h"

namespace foresight {
namespace {

constexpr std::int64_t kPrefillChunk = 256;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Tokens decoded at each context: every policy evicts twice.
std::int64_t decoded_tokens(const CacheSize& size) {
  return 2 * size.window;
}

/// `length` tokens of `text`, repeated as often as it takes: [length].
torch::Tensor repeated(const torch::Tensor& text, std::int64_t length) {
  return text.repeat({(length + text.size(0) - 1) / text.size(0)}).narrow(0, 0, length);
}

struct Timing {
  std::int64_t kv_bytes = 0;
  double prefill_s = 0, decode_s = 0, scoring_s = 0, eviction_s = 0;
  std::int64_t evictions = 0;
};

Timing run_context(const Transformer& model, const MeasuredPolicy& policy, const CacheSize& size,
                   const torch::Tensor& prompt, const std::function<void(std::int64_t)>& on_tokens) {
  const std::int64_t length = prompt.size(0), decoded = decoded_tokens(size);
  const torch::Device device = model.options().device;
  Timing timing;
  std::optional<FullCache> full;
  std::optional<EvictingCache> evicting;
  if (policy.select) {
    const EvictionSelector timed = [&](const EvictionView& view) {
      const auto started = Clock::now();
      torch::Tensor evicted = (*policy.select)(view);
      timing.scoring_s += seconds_since(started);
      return evicted;
    };
    evicting.emplace(model.shape(), 1, size.budget, size.window, kEndless, timed, device);
  } else {
    full.emplace(model.shape(), 1, length + decoded, device);
  }
  Attention& cache = policy.select ? static_cast<Attention&>(*evicting) : static_cast<Attention&>(*full);
  timing.kv_bytes = policy.select ? evicting->bytes() : full->bytes();

  auto started = Clock::now();
  torch::Tensor hidden;
  for (std::int64_t first = 0; first < length;) {
    std::int64_t count = std::min(kPrefillChunk, length - first);
    if (policy.select) count = std::min(count, evicting->room());
    hidden = model.forward(prompt.narrow(0, first, count).unsqueeze(0), torch::arange(first, first + count),
                           cache);
    first += count;
    if (on_tokens) on_tokens(count);
  }
  timing.prefill_s = seconds_since(started);

  timing.scoring_s = 0;  // of the decoding alone
  const EvictionTime before = policy.select ? evicting->eviction_time() : EvictionTime{};
  started = Clock::now();
  for (std::int64_t i = 0; i < decoded; ++i) {
    const torch::Tensor last = hidden[0].narrow(0, hidden.size(1) - 1, 1);
    const torch::Tensor token = model.logits(last).argmax(-1);  // [1]
    hidden = model.forward(token.view({1, 1}), torch::full({1}, length + i, torch::kInt64), cache);
    if (on_tokens) on_tokens(1);
  }
  timing.decode_s = seconds_since(started);
  if (policy.select) {
    timing.eviction_s = evicting->eviction_time().seconds - before.seconds;
    timing.evictions = (evicting->eviction_time().evictions - before.evictions) / model.shape().layers;
  }
  return timing;
}

}  // namespace

std::vector<PolicyCost> measure_cost(const Transformer& model, const std::vector<MeasuredPolicy>& policies,
                                     const CacheSize& size, const std::vector<std::int64_t>& contexts,
                                     const torch::Tensor& text,
                                     const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  for (const std::int64_t context : contexts) {
    if (context + decoded_tokens(size) <= model.shape().max_positions) continue;
    throw Error(ErrorKind::kConfig,
                concat("evaluation.cost_contexts: ", context, " tokens and ", decoded_tokens(size),
                       " decoded ones exceed the model's ", model.shape().max_positions, " positions"));
  }
  std::vector<PolicyCost> costs;
  for (const MeasuredPolicy& policy : policies) {
    PolicyCost cost;
    cost.name = policy.name;
    double decode_s = 0, scoring_s = 0, eviction_s = 0;
    std::int64_t evictions = 0;
    for (const std::int64_t context : contexts) {
      const Timing timing = run_context(model, policy, size, repeated(text, context), on_tokens);
      cost.kv_bytes.push_back(timing.kv_bytes);
      cost.prefill_tokens_per_second.push_back(static_cast<double>(context) / timing.prefill_s);
      cost.decode_tokens_per_second.push_back(static_cast<double>(decoded_tokens(size)) / timing.decode_s);
      decode_s += timing.decode_s;
      scoring_s += timing.scoring_s;
      eviction_s += timing.eviction_s;
      evictions += timing.evictions;
    }
    if (evictions > 0) cost.milliseconds_per_eviction = 1e3 * eviction_s / static_cast<double>(evictions);
    cost.scoring_share = decode_s > 0 ? scoring_s / decode_s : 0;
    costs.push_back(std::move(cost));
  }
  return costs;
}

std::int64_t cost_tokens(std::size_t policies, const CacheSize& size,
                         const std::vector<std::int64_t>& contexts) {
  std::int64_t tokens = 0;
  for (const std::int64_t context : contexts) tokens += context + decoded_tokens(size);
  return tokens * static_cast<std::int64_t>(policies);
}

std::int64_t peak_resident_bytes() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace foresight
