#include "trainer/eviction/evicted_pass.h"

#include <torch/utils.h>

#include "trainer/eviction/evicting_cache.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Tokens of the first, uncompressed part that go through the model at once: bounds the attention matrix.
constexpr std::int64_t kPrefixChunk = 256;

/// What the predictions of one row of tokens are worth, each [copies * n] float32.
struct Comparison {
  torch::Tensor loss, divergence, agreement;
};

/// Loss, KL(full KV || evicted) and agreement of the likeliest token, for hidden states `full` [n, hidden]
/// and `evicted` [copies * n, hidden] of the same n tokens in every copy, and the tokens that came [copies *
/// n]. Logits are computed once: the full cache's for all copies, the evicted ones for some 128 rows at a
/// time.
Comparison compare_predictions(const Transformer& model, const torch::Tensor& full,
                               const torch::Tensor& evicted, const torch::Tensor& targets) {
  constexpr std::int64_t kRows = 128;
  const std::int64_t count = full.size(0), copies = evicted.size(0) / count;
  Comparison result;
  result.loss = torch::empty({copies, count}, evicted.options().dtype(torch::kFloat32));
  result.divergence = torch::empty_like(result.loss);
  result.agreement = torch::empty_like(result.loss);
  const torch::Tensor by_copy = evicted.view({copies, count, -1});
  const torch::Tensor wanted = targets.to(evicted.device(), torch::kInt64).view({copies, count, 1});
  for (std::int64_t first = 0; first < count; first += kRows) {
    const std::int64_t tokens = std::min(kRows, count - first);
    const torch::Tensor reference = torch::log_softmax(model.logits(full.narrow(0, first, tokens)), -1);
    const torch::Tensor probability = reference.exp(), likeliest = reference.argmax(-1, /*keepdim=*/true);
    const torch::Tensor negative_entropy = (probability * reference).sum(-1);  // [tokens]
    const std::int64_t together = std::max<std::int64_t>(1, kRows / tokens);
    for (std::int64_t copy = 0; copy < copies; copy += together) {
      const std::int64_t some = std::min(together, copies - copy);
      const auto part = [&](const torch::Tensor& all) {
        return all.narrow(0, copy, some).narrow(1, first, tokens);
      };
      const torch::Tensor logits = model.logits(part(by_copy).reshape({some * tokens, -1}));
      const torch::Tensor own = torch::log_softmax(logits, -1).view({some, tokens, -1});
      part(result.loss).copy_(own.gather(2, part(wanted)).squeeze(2).neg_());
      // The likeliest token of one is that of the other when its value is the largest there.
      part(result.agreement)
          .copy_(own.gather(2, likeliest.expand({some, tokens, 1})).squeeze(2) == own.amax(-1));
      const torch::Tensor cross = (own * probability).sum(-1);  // minus the cross entropy
      part(result.divergence).copy_(negative_entropy - cross);
    }
  }
  return {result.loss.flatten(), result.divergence.flatten(), result.agreement.flatten()};
}

/// Fills `pass` for tokens first + 1 .. first + T (those that exist) from hidden states [R, T, hidden] of
/// tokens first .. first + T - 1.
void store_predictions(const Transformer& model, const torch::Tensor& hidden, const torch::Tensor& tokens,
                       const torch::Tensor& full_states, std::int64_t first, EvictedPass& pass) {
  const std::int64_t rows = hidden.size(0), count = std::min(hidden.size(1), tokens.size(1) - first - 1);
  if (count <= 0) return;
  const torch::Tensor states = hidden.narrow(1, 0, count).reshape({-1, hidden.size(2)});
  const torch::Tensor targets = tokens.narrow(1, first + 1, count).reshape({-1});
  const auto store = [&](torch::Tensor& all, const torch::Tensor& values) {
    all.narrow(1, first + 1, count).copy_(values.view({rows, count}));
  };
  if (!full_states.defined()) {
    store(pass.losses, model.loss_and_entropy(states, targets).loss);
    return;
  }
  const Comparison compared = compare_predictions(
      model, full_states.narrow(1, first, count).reshape({-1, hidden.size(2)}), states, targets);
  store(pass.losses, compared.loss);
  store(pass.divergence, compared.divergence);
  store(pass.agreement, compared.agreement);
}

}  // namespace

EvictedPass evicted_pass(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                         std::int64_t copies, const EvictionSelector& select,
                         const torch::Tensor& full_states,
                         const std::function<void(std::int64_t)>& on_tokens) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1, -1}, "tokens");
  const std::int64_t traces = tokens.size(0), length = tokens.size(1);
  const torch::Tensor rows = tokens.repeat({copies, 1});  // [copies * N, L]
  EvictedPass pass;
  pass.losses = torch::zeros(rows.sizes(), torch::TensorOptions().device(model.options().device));
  if (full_states.defined()) {
    check_shape(full_states, {traces, length, model.shape().hidden_size}, "full-KV hidden states");
    pass.divergence = torch::zeros_like(pass.losses);
    pass.agreement = torch::zeros_like(pass.losses);
  }
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
    store_predictions(model, hidden, rows, full_states, first, pass);
    first += count;
    if (on_tokens) on_tokens(rows.size(0) * count);
  }
  return pass;
}

torch::Tensor evicted_losses(const Transformer& model, const torch::Tensor& tokens, const CacheSize& size,
                             std::int64_t copies, const EvictionSelector& select,
                             const std::function<void(std::int64_t)>& on_tokens) {
  return evicted_pass(model, tokens, size, copies, select, /*full_states=*/{}, on_tokens).losses;
}

torch::Tensor full_states(const Transformer& model, const torch::Tensor& tokens) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1}, "tokens");
  const std::int64_t length = tokens.size(0);
  FullCache cache(model.shape(), 1, length, model.options());
  std::vector<torch::Tensor> states;
  for (std::int64_t first = 0; first < length; first += kForwardTokens) {
    const std::int64_t count = std::min(kForwardTokens, length - first);
    states.push_back(model.forward(tokens.narrow(0, first, count).unsqueeze(0),
                                   torch::arange(first, first + count), cache)[0]);
  }
  return torch::cat(states);
}

FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t query_block,
                   const AttentionObserver& observer) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1}, "tokens");
  const std::int64_t length = tokens.size(0);
  const auto options = torch::TensorOptions().device(model.options().device);
  FullPass result{.loss = torch::zeros({length}, options), .entropy = torch::zeros({length}, options)};
  FullCache cache(model.shape(), 1, length, model.options());
  cache.set_observer(observer);
  cache.set_query_block(query_block);
  const std::int64_t together = std::max<std::int64_t>(1, kForwardTokens / query_block) * query_block;
  for (std::int64_t first = 0; first < length; first += together) {
    const std::int64_t count = std::min(together, length - first);
    const torch::Tensor hidden = model.forward(tokens.narrow(0, first, count).unsqueeze(0),
                                               torch::arange(first, first + count), cache);
    const std::int64_t predicted = std::min(count, length - first - 1);
    if (predicted <= 0) break;
    const LossAndEntropy statistics =
        model.loss_and_entropy(hidden[0].narrow(0, 0, predicted), tokens.narrow(0, first + 1, predicted));
    result.loss.narrow(0, first + 1, predicted).copy_(statistics.loss);
    result.entropy.narrow(0, first + 1, predicted).copy_(statistics.entropy);
  }
  return result;
}

}  // namespace foresight
