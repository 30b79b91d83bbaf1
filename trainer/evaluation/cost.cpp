#include "trainer/evaluation/cost.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/memory.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/device.h"

namespace foresight {
namespace {

constexpr std::int64_t kPrefillChunk = 256;

/// Tokens decoded with one row: every policy evicts twice.
std::int64_t decoded_tokens(const CacheSize& size) {
  return 2 * size.window;
}

/// Entries that a full cache gets: context, one row's decoding, and that of the batch and of the rows that
/// fit the same memory.
std::int64_t full_capacity(const CacheSize& size, std::int64_t context) {
  return context + decoded_tokens(size) + 2 * size.window;
}

/// Full-KV rows that fit the memory of an evicting batch. Both caches hold entries of the same size.
std::int64_t equal_memory_rows(const CostOptions& options, std::int64_t context) {
  return options.batch * (options.size.budget + options.size.window) / full_capacity(options.size, context);
}

/// `length` tokens of `text`, repeated as often as it takes: [length].
torch::Tensor repeated(const torch::Tensor& text, std::int64_t length) {
  return text.repeat({(length + text.size(0) - 1) / text.size(0)}).narrow(0, 0, length);
}

/// A sequence, later several equal ones, fed and continued greedily under a policy.
class MeasuredGeneration {
 public:
  MeasuredGeneration(const Transformer& model, const MeasuredPolicy& policy, const CacheSize& size,
                     std::int64_t capacity, const std::function<void(std::int64_t)>& on_tokens)
      : model_(model), on_tokens_(on_tokens) {
    const torch::Device device = model.options().device;
    if (!policy.select) {
      full_.emplace(model.shape(), 1, capacity, model.options());
      return;
    }
    const EvictionSelector timed = [this, &policy, device](const EvictionView& view) {
      const DeviceTimer timer(device);
      torch::Tensor evicted = (view.keys.size(0) == 1 ? *policy.select : *policy.batch_select)(view);
      scoring_s_ += timer.seconds();
      return evicted;
    };
    evicting_.emplace(model.shape(), 1, size.budget, size.window, kEndless, timed, device);
    evicting_->time_evictions();
  }
  MeasuredGeneration(const MeasuredGeneration&) = delete;
  MeasuredGeneration& operator=(const MeasuredGeneration&) = delete;

  /// Feeds the prompt [n]; returns the seconds that took.
  double prefill(const torch::Tensor& prompt) {
    const DeviceTimer timer(model_.options().device);
    torch::Tensor hidden;
    for (; seen_ < prompt.size(0);) {
      std::int64_t count = std::min(kPrefillChunk, prompt.size(0) - seen_);
      if (evicting_) count = std::min(count, evicting_->room());
      hidden = model_.forward(prompt.narrow(0, seen_, count).unsqueeze(0),
                              torch::arange(seen_, seen_ + count), cache());
      seen_ += count;
      if (on_tokens_) on_tokens_(count);
    }
    last_ = hidden.narrow(1, hidden.size(1) - 1, 1);
    return timer.seconds();
  }

  /// Adds `count` tokens to every row; returns the seconds that took.
  double decode(std::int64_t count) {
    const DeviceTimer timer(model_.options().device);
    for (std::int64_t i = 0; i < count; ++i) {
      const torch::Tensor token = model_.logits(last_.squeeze(1)).argmax(-1);  // [R]
      last_ = model_.forward(token.unsqueeze(1), torch::full({1}, seen_++, torch::kInt64), cache());
      if (on_tokens_) on_tokens_(token.size(0));
    }
    return timer.seconds();
  }

  /// From now on `rows` rows equal to the first. An evicting cache can do this once.
  void repeat_rows(std::int64_t rows) {
    const torch::Tensor first = torch::zeros({rows}, last_.options().dtype(torch::kInt64));
    if (evicting_) {
      evicting_->release_evictions(rows);
    } else {
      full_->keep_rows(first);
    }
    last_ = last_.index_select(0, first);
  }

  std::int64_t kv_bytes() const { return evicting_ ? evicting_->bytes() : full_->bytes(); }
  double scoring_seconds() const { return scoring_s_; }
  EvictionTime eviction_time() const { return evicting_ ? evicting_->eviction_time() : EvictionTime{}; }

 private:
  Attention& cache() {
    return evicting_ ? static_cast<Attention&>(*evicting_) : static_cast<Attention&>(*full_);
  }

  const Transformer& model_;
  const std::function<void(std::int64_t)>& on_tokens_;
  std::optional<FullCache> full_;
  std::optional<EvictingCache> evicting_;
  std::int64_t seen_ = 0;
  torch::Tensor last_;  // [R, 1, hidden]: the last token's hidden state
  double scoring_s_ = 0;
};

/// Sums over the contexts, for the figures that have no context.
struct EvictionSums {
  double decode_s = 0, scoring_s = 0, eviction_s = 0;
  std::int64_t evictions = 0;
};

void measure_context(const Transformer& model, const MeasuredPolicy& policy, const CostOptions& options,
                     const torch::Tensor& prompt, const std::function<void(std::int64_t)>& on_tokens,
                     PolicyCost& cost, EvictionSums& sums) {
  const CacheSize& size = options.size;
  const std::int64_t context = prompt.size(0), window = size.window, decoded = decoded_tokens(size);
  const auto speed = [](std::int64_t tokens, double seconds) {
    return static_cast<double>(tokens) / seconds;
  };
  reset_peak_resident_bytes();
  MeasuredGeneration generation(model, policy, size, full_capacity(size, context), on_tokens);
  cost.kv_bytes.push_back(generation.kv_bytes());
  cost.prefill_tokens_per_second.push_back(speed(context, generation.prefill(prompt)));

  const EvictionTime before = generation.eviction_time();
  const double scoring_before = generation.scoring_seconds(), decode_s = generation.decode(decoded);
  cost.decode_tokens_per_second.push_back(speed(decoded, decode_s));
  cost.peak_resident_bytes.push_back(peak_resident_bytes());
  sums.decode_s += decode_s;
  sums.scoring_s += generation.scoring_seconds() - scoring_before;
  sums.eviction_s += generation.eviction_time().seconds - before.seconds;
  sums.evictions += (generation.eviction_time().evictions - before.evictions) / model.shape().layers;
  if (options.batch == 1) return;

  if (!policy.select) {
    const std::int64_t rows = equal_memory_rows(options, context);
    cost.equal_memory_rows.push_back(rows);
    if (rows > 0) generation.repeat_rows(rows);
    cost.equal_memory_decode_tokens_per_second.push_back(
        rows > 0 ? speed(rows * window, generation.decode(window)) : 0.0);
  }
  generation.repeat_rows(options.batch);
  cost.batch_decode_tokens_per_second.push_back(speed(options.batch * window, generation.decode(window)));
}

}  // namespace

std::vector<PolicyCost> measure_cost(const Transformer& model, const std::vector<MeasuredPolicy>& policies,
                                     const CostOptions& options, const torch::Tensor& text,
                                     const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  for (const std::int64_t context : options.contexts) {
    const std::int64_t longest = full_capacity(options.size, context);
    if (longest <= model.shape().max_positions) continue;
    throw Error(ErrorKind::kConfig,
                concat("evaluation.cost_contexts: ", context, " tokens and ", longest - context,
                       " decoded ones exceed the model's ", model.shape().max_positions, " positions"));
  }
  std::vector<PolicyCost> costs;
  for (const MeasuredPolicy& policy : policies) {
    PolicyCost cost;
    cost.name = policy.name;
    EvictionSums sums;
    for (const std::int64_t context : options.contexts)
      measure_context(model, policy, options, repeated(text, context), on_tokens, cost, sums);
    if (sums.evictions > 0)
      cost.milliseconds_per_eviction = 1e3 * sums.eviction_s / static_cast<double>(sums.evictions);
    cost.scoring_share = sums.decode_s > 0 ? sums.scoring_s / sums.decode_s : 0;
    costs.push_back(std::move(cost));
  }
  return costs;
}

std::int64_t cost_tokens(const std::vector<MeasuredPolicy>& policies, const CostOptions& options) {
  std::int64_t tokens = 0;
  const std::int64_t window = options.size.window;
  for (const MeasuredPolicy& policy : policies) {
    for (const std::int64_t context : options.contexts) {
      tokens += context + decoded_tokens(options.size);
      if (options.batch == 1) continue;
      tokens += options.batch * window;
      if (!policy.select) tokens += equal_memory_rows(options, context) * window;
    }
  }
  return tokens;
}

}  // namespace foresight
