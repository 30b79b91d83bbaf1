#include "trainer/evaluation/cost.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/memory.h"
#include "trainer/base/text.h"
#include "trainer/generation/decoding.h"
#include "trainer/model/device.h"

namespace foresight {
namespace {

/// Tokens decoded with one row: enough for two evictions.
std::int64_t decoded_tokens(const CacheSize& size) {
  return 2 * size.window;
}

/// Entries of a full cache: the context, one row's decoding, and that of the batch and of the rows that fit
/// the same memory.
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

/// Feeds a sequence and continues it greedily under a policy, later as several equal rows, and times both.
class MeasuredGeneration {
 public:
  MeasuredGeneration(const Transformer& model, const MeasuredPolicy& policy, const CacheSize& size,
                     std::int64_t capacity, const std::function<void(std::int64_t)>& on_tokens)
      : model_(model), on_tokens_(on_tokens), decoding_(model, 1, capacity, timed(policy), size) {
    decoding_.time_evictions();
  }
  MeasuredGeneration(const MeasuredGeneration&) = delete;
  MeasuredGeneration& operator=(const MeasuredGeneration&) = delete;

  /// Feeds the prompt [n]; returns the seconds that this took.
  double prefill(const torch::Tensor& prompt) {
    const DeviceTimer timer(model_.options().device);
    decoding_.prefill(prompt.unsqueeze(0), on_tokens_);
    return timer.seconds();
  }

  /// Adds `count` tokens to every row; returns the seconds that this took.
  double decode(std::int64_t count) {
    const DeviceTimer timer(model_.options().device);
    for (std::int64_t i = 0; i < count; ++i) {
      const torch::Tensor token = model_.logits(decoding_.last()).argmax(-1);  // [R]
      decoding_.decode(token);
      if (on_tokens_) on_tokens_(token.size(0));
    }
    return timer.seconds();
  }

  /// Continues with `rows` rows equal to the first.
  void repeat_rows(std::int64_t rows) { decoding_.repeat_first(rows); }

  std::int64_t kv_bytes() const { return decoding_.kv_bytes(); }
  double scoring_seconds() const { return scoring_s_; }
  EvictionTime eviction_time() const { return decoding_.eviction_time(); }

 private:
  /// The policy's selector with its time added up; nothing for the full cache.
  std::optional<EvictionSelector> timed(const MeasuredPolicy& policy) {
    if (!policy.select) return std::nullopt;
    return [this, &policy](const EvictionView& view) {
      const DeviceTimer timer(model_.options().device);
      torch::Tensor evicted = (view.keys.size(0) == 1 ? *policy.select : *policy.batch_select)(view);
      scoring_s_ += timer.seconds();
      return evicted;
    };
  }

  const Transformer& model_;
  const std::function<void(std::int64_t)>& on_tokens_;
  double scoring_s_ = 0;
  Decoding decoding_;
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
  sums.evictions +=
      (generation.eviction_time().evictions - before.evictions) / model.shape().evicting_layers();
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

void require_contexts(const CostOptions& options, std::int64_t positions) {
  for (const std::int64_t context : options.contexts) {
    const std::int64_t longest = full_capacity(options.size, context);
    if (longest <= positions) continue;
    throw Error(ErrorKind::kConfig,
                concat("evaluation.cost_contexts: ", context, " tokens and ", longest - context,
                       " decoded ones exceed the model's ", positions, " positions"));
  }
}

std::vector<PolicyCost> measure_cost(const Transformer& model, const std::vector<MeasuredPolicy>& policies,
                                     const CostOptions& options, const torch::Tensor& text,
                                     const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  require_contexts(options, model.shape().max_positions);
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
