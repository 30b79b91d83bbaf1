#include "trainer/generation/decoding.h"

#include <torch/utils.h>

#include <algorithm>

namespace foresight {
namespace {

/// Tokens of a prompt that go through the model at once: bounds the attention matrix.
constexpr std::int64_t kPrefillChunk = 256;

}  // namespace

Decoding::Decoding(const Transformer& model, std::int64_t rows, std::int64_t capacity,
                   const std::optional<EvictionSelector>& select, const CacheSize& size)
    : model_(&model) {
  if (select) {
    evicting_.emplace(model.shape(), RowLayout{.traces = rows}, size, kEndless, *select, model.options());
  } else {
    full_.emplace(model.shape(), rows, capacity, model.options());
  }
}

void Decoding::set_padding(const torch::Tensor& padding) {
  padding_ = padding;
  full_->set_padding(padding.to(model_->options().device));
}

void Decoding::forward(const torch::Tensor& tokens) {
  const torch::NoGradGuard no_grad;
  const std::int64_t count = tokens.size(1);
  torch::Tensor positions = torch::arange(seen_, seen_ + count);  // [T]
  if (padding_.defined()) positions = (positions.unsqueeze(0) - padding_.unsqueeze(1)).clamp_min(0);
  Attention& cache = evicting_ ? static_cast<Attention&>(*evicting_) : static_cast<Attention&>(*full_);
  last_ = model_->forward(tokens, positions, cache).select(1, count - 1);
  if (evicting_) evicting_->require_sound();
  seen_ += count;
}

void Decoding::prefill(const torch::Tensor& prompts, const std::function<void(std::int64_t)>& on_tokens) {
  if (evicting_ && seen_ == 0) evicting_->set_prompts({prompts.size(1)});
  for (std::int64_t first = 0; first < prompts.size(1);) {
    std::int64_t count = std::min(kPrefillChunk, prompts.size(1) - first);
    if (evicting_) count = std::min(count, evicting_->room());
    forward(prompts.narrow(1, first, count));
    first += count;
    if (on_tokens) on_tokens(count);
  }
}

void Decoding::decode(const torch::Tensor& tokens) {
  forward(tokens.unsqueeze(1));
}

void Decoding::keep_rows(const torch::Tensor& rows) {
  full_->keep_rows(rows.to(model_->options().device));
  if (padding_.defined()) padding_ = padding_.index_select(0, rows.to(torch::kCPU));
  last_ = last_.index_select(0, rows.to(last_.device()));
}

void Decoding::repeat_first(std::int64_t rows) {
  const torch::Tensor first = torch::zeros({rows}, torch::kInt64);
  if (!evicting_) return keep_rows(first);
  evicting_->repeat_rows(rows);
  last_ = last_.index_select(0, first.to(last_.device()));
}

}  // namespace foresight
