#include "trainer/eviction/evicted_pass.h"

#include "trainer/eviction/evicting_cache.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Tokens of the first, uncompressed part that go through the model at once: bounds the attention matrix.
constexpr std::int64_t kPrefixChunk = 256;

/// Loss of tokens first + 1 .. first + T (those that exist) from hidden states [R, T, hidden] of tokens first
/// .. first + T - 1.
void store_losses(const Transformer& model, const torch::Tensor& hidden, const torch::Tensor& tokens,
                  std::int64_t first, torch::Tensor& losses) {
  const std::int64_t count = std::min(hidden.size(1), tokens.size(1) - first - 1);
  if (count <= 0) return;
  const torch::Tensor states = hidden.narrow(1, 0, count).reshape({-1, hidden.size(2)});
  const torch::Tensor targets = tokens.narrow(1, first + 1, count).reshape({-1});
  losses.narrow(1, first + 1, count)
      .copy_(token_statistics(model, states, targets, WithEntropy::kNo).loss.view({hidden.size(0), count}));
}

}  // namespace

torch::Tensor evicted_losses(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                             std::int64_t copies, const EvictionSelector& select,
                             const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1, -1}, "tokens");
  const std::int64_t traces = tokens.size(0), length = tokens.size(1);
  const torch::Tensor rows = tokens.repeat({copies, 1});  // [copies * N, L]
  torch::Tensor losses = torch::zeros(rows.sizes(), torch::TensorOptions().device(model.options().device));
  EvictingCache cache(model.shape(), traces, size.budget, size.window, length, select,
                      model.options().device);
  cache.hold_evictions();
  const std::int64_t prefix = std::min(length, size.budget + size.window);
  for (std::int64_t first = 0; first < prefix;) {
    const std::int64_t count = std::min({prefix - first, cache.room(), kPrefixChunk});
    model.forward(tokens.narrow(1, first, count), torch::arange(first, first + count), cache);
    first += count;
    if (on_tokens) on_tokens(traces * count);
  }
  cache.release_evictions(copies);
  for (std::int64_t first = prefix; first < length;) {
    const std::int64_t count = std::min(length - first, cache.room());
    const torch::Tensor hidden =
        model.forward(rows.narrow(1, first, count), torch::arange(first, first + count), cache);
    store_losses(model, hidden, rows, first, losses);
    first += count;
    if (on_tokens) on_tokens(rows.size(0) * count);
  }
  return losses;
}

FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t chunk_tokens,
                   const AttentionObserver& observer) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1}, "tokens");
  const std::int64_t length = tokens.size(0);
  const auto options = torch::TensorOptions().device(model.options().device);
  FullPass result{.loss = torch::zeros({length}, options), .entropy = torch::zeros({length}, options)};
  FullCache cache(model.shape(), 1, length, model.options().device);
  cache.set_observer(observer);
  for (std::int64_t first = 0; first < length; first += chunk_tokens) {
    const std::int64_t count = std::min(chunk_tokens, length - first);
    const torch::Tensor hidden = model.forward(tokens.narrow(0, first, count).unsqueeze(0),
                                               torch::arange(first, first + count), cache);
    const std::int64_t predicted = std::min(count, length - first - 1);
    if (predicted <= 0) break;
    const TokenStatistics statistics = token_statistics(
        model, hidden[0].narrow(0, 0, predicted), tokens.narrow(0, first + 1, predicted), WithEntropy::kYes);
    result.loss.narrow(0, first + 1, predicted).copy_(statistics.loss);
    result.entropy.narrow(0, first + 1, predicted).copy_(statistics.entropy);
  }
  return result;
}

}  // namespace foresight
