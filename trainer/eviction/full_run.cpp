#include "trainer/eviction/full_run.h"

#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Tokens that go through the model together: about kForwardTokens, a multiple of `piece`.
std::int64_t tokens_together(std::int64_t piece) {
  return std::max<std::int64_t>(1, kForwardTokens / piece) * piece;
}

}  // namespace

FullRun::FullRun(const Transformer& model, const torch::Tensor& tokens, std::int64_t window)
    : model_(&model), tokens_(tokens), chunk_(tokens_together(window)) {
  check_shape(tokens, {-1, -1}, "tokens");
  for (std::int64_t trace = 0; trace < tokens.size(0); ++trace)
    caches_.emplace_back(model.shape(), 1, tokens.size(1), model.options());
}

torch::Tensor FullRun::states(std::int64_t first, std::int64_t count) {
  while (first >= next_first_ && next_first_ < tokens_.size(1)) advance();
  if (first < first_ || first + count > next_first_) {
    throw Error(ErrorKind::kInternal,
                concat("full-KV states of tokens ", first, " to ", first + count - 1,
                       " were asked for, those of ", first_, " to ", next_first_ - 1, " are held"));
  }
  return states_.narrow(1, first - first_, count);
}

void FullRun::advance() {
  const torch::NoGradGuard no_grad;
  first_ = next_first_;
  const std::int64_t count = std::min(chunk_, tokens_.size(1) - first_);
  states_ = torch::Tensor();  // the old ones go before the new ones come
  std::vector<torch::Tensor> states;
  for (std::int64_t trace = 0; trace < tokens_.size(0); ++trace) {
    states.push_back(model_->forward(tokens_.narrow(0, trace, 1).narrow(1, first_, count),
                                     torch::arange(first_, first_ + count),
                                     caches_[static_cast<std::size_t>(trace)]));
  }
  states_ = states.size() == 1 ? states.front() : torch::cat(states);
  next_first_ = first_ + count;
}

FullPass full_pass(const Transformer& model, const torch::Tensor& tokens, std::int64_t query_block,
                   const FullPassObservers& observers) {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1}, "tokens");
  const std::int64_t length = tokens.size(0);
  const auto options = torch::TensorOptions().device(model.options().device);
  FullPass result{.loss = torch::zeros({length}, options), .entropy = torch::zeros({length}, options)};
  FullCache cache(model.shape(), 1, length, model.options());
  cache.set_observer(observers.attention);
  if (observers.blocks) cache.set_block_observer(observers.block_tokens, observers.blocks);
  cache.set_query_block(query_block);
  const std::int64_t together = tokens_together(query_block);
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
