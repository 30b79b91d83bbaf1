#include "trainer/eviction/evicted_run.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Tokens of the prefix that go through the model at once: bounds the attention matrix.
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

/// What hidden states [R, T, hidden] of tokens first - 1 .. say of the T tokens `targets` [R, T] that follow
/// them, compared with the full cache's states [N, T, hidden] where there are any.
EvictedWindow predictions(const Transformer& model, const torch::Tensor& hidden, const torch::Tensor& targets,
                          const torch::Tensor& full_states, std::int64_t first) {
  const std::int64_t rows = hidden.size(0), count = hidden.size(1);
  const torch::Tensor states = hidden.reshape({rows * count, -1}), wanted = targets.reshape({-1});
  EvictedWindow window;
  window.first = first;
  window.count = count;
  if (!full_states.defined()) {
    window.loss = model.loss_and_entropy(states, wanted).loss.view({rows, count});
    return window;
  }
  const Comparison compared =
      compare_predictions(model, full_states.reshape({-1, hidden.size(2)}), states, wanted);
  window.loss = compared.loss.view({rows, count});
  window.divergence = compared.divergence.view({rows, count});
  window.agreement = compared.agreement.view({rows, count});
  return window;
}

}  // namespace

EvictedRun::EvictedRun(const Transformer& model, const TraceTokens& traces, const CacheSize& size,
                       std::int64_t copies, EvictionSelector select)
    : model_(&model),
      tokens_(to_device(traces.tokens, model.options().device)),
      size_(size),
      layout_{.traces = tokens_.size(0), .copies = copies},
      cache_(model.shape(), layout_, size, tokens_.size(-1), std::move(select), model.options()) {
  check_shape(tokens_, {-1, -1}, "tokens");
  if (!traces.prompt_tokens.empty()) cache_.set_prompts(traces.prompt_tokens);
}

std::int64_t EvictedRun::tokens_of_next() const {
  if (position_ == 0) return layout_.traces * std::min(length(), size_.entries());
  return layout_.rows() * std::min(size_.window, length() - position_);
}

bool EvictedRun::next(EvictedWindow& window, FullRun* full) {
  const torch::NoGradGuard no_grad;
  if (finished()) return false;
  if (position_ == 0) {
    run_prefix();
    window = EvictedWindow();
    window.first = position_;
    return true;
  }
  const std::int64_t first = position_, count = std::min(size_.window, length() - first - 1);
  const torch::Tensor hidden = run_window().narrow(1, 0, count);
  const torch::Tensor targets = tokens_.narrow(1, first + 1, count).repeat({layout_.copies, 1});
  window = predictions(*model_, hidden, targets,
                       full == nullptr ? torch::Tensor() : full->states(first, count), first + 1);
  return true;
}

bool EvictedRun::advance() {
  const torch::NoGradGuard no_grad;
  if (finished()) return false;
  if (position_ == 0) {
    run_prefix();
  } else {
    run_window();
  }
  return true;
}

void EvictedRun::run_prefix() {
  const std::int64_t prefix = std::min(length(), size_.entries());
  while (position_ < prefix) {
    const std::int64_t count = std::min({prefix - position_, cache_.room(), kPrefixChunk});
    model_->forward(tokens_.narrow(1, position_, count),
                    torch::arange(position_, position_ + count, tokens_.options()), cache_);
    position_ += count;
  }
}

torch::Tensor EvictedRun::run_window() {
  const std::int64_t last = length() - 1;
  const torch::Tensor positions =
      torch::arange(position_, position_ + size_.window, tokens_.options()).clamp_max(last);  // [W]
  const torch::Tensor tokens = tokens_.index_select(1, positions).repeat({layout_.copies, 1});
  position_ = std::min(position_ + size_.window, length());
  return model_->forward(tokens, positions, cache_);
}

std::int64_t evicted_run_tokens(std::int64_t length, const CacheSize& size, std::int64_t copies) {
  const std::int64_t prefix = std::min(length, size.entries()), rest = length - prefix;
  // A window of one token would predict nothing: it is left out.
  return prefix + (rest % size.window == 1 ? rest - 1 : rest) * copies;
}

EvictedPass::EvictedPass(std::int64_t rows, std::int64_t tokens, bool compared, const torch::Device& device)
    : losses(torch::zeros({rows, tokens}, device)) {
  if (!compared) return;
  divergence = torch::zeros_like(losses);
  agreement = torch::zeros_like(losses);
}

void EvictedPass::add(const EvictedWindow& window) {
  if (window.count == 0) return;
  const auto put = [&](const torch::Tensor& all, const torch::Tensor& values) {
    if (all.defined()) all.narrow(1, window.first, window.count).copy_(values);
  };
  put(losses, window.loss);
  put(divergence, window.divergence);
  put(agreement, window.agreement);
}

void replay_evictions(const Transformer& model, const TraceTokens& traces, const CacheSize& size,
                      std::int64_t copies, std::int64_t steps, const EvictionSelector& select,
                      const std::function<void(std::int64_t)>& on_tokens) {
  EvictedRun run(model, traces, size, copies, select);
  const std::int64_t end = size.seen_at_step(std::min(steps, size.steps(run.length())) - 1);
  while (run.position() < end) {
    const std::int64_t tokens_done = run.tokens_of_next();
    run.advance();
    if (on_tokens) on_tokens(tokens_done);
  }
  run.require_sound();
}

EvictedPass run_to_end(EvictedRun& run, FullRun* full,
                       const std::function<void(const EvictedWindow&)>& on_window,
                       const std::function<void(std::int64_t)>& on_tokens) {
  EvictedPass pass(run.rows().rows(), run.length(), /*compared=*/full != nullptr, run.device());
  EvictedWindow window;
  while (!run.finished()) {
    const std::int64_t tokens_done = run.tokens_of_next();
    run.next(window, full);
    pass.add(window);
    if (on_window) on_window(window);
    if (on_tokens) on_tokens(tokens_done);
  }
  run.require_sound();
  for (torch::Tensor* values : {&pass.losses, &pass.divergence, &pass.agreement})
    if (values->defined()) *values = values->to(torch::kCPU);
  return pass;
}

}  // namespace foresight
