#include "trainer/traces/token_selection.h"

#include <cmath>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

torch::Tensor scored_tokens(const RecordedTrace& trace, std::int64_t first_scored, ScoreTokens score) {
  torch::Tensor scored = torch::arange(trace.length()) >= first_scored;
  if (score == ScoreTokens::kCompletion) scored = scored.logical_and(trace.completion);
  return scored;
}

torch::Tensor low_entropy_mask(const torch::Tensor& entropy, const torch::Tensor& scored, double share) {
  if (entropy.dim() != 1 || scored.sizes() != entropy.sizes() || scored.scalar_type() != torch::kBool) {
    throw Error(ErrorKind::kInternal,
                concat("low-entropy mask: expected entropy [T] and a bool mask [T], got ", entropy.sizes(),
                       " and ", scored.scalar_type(), " ", scored.sizes()));
  }
  if (!(share >= 0.0 && share <= 1.0)) {
    throw Error(ErrorKind::kInternal, concat("low-entropy mask: share must be within 0 .. 1, got ", share));
  }
  const auto tokens = scored.nonzero().squeeze(1);  // [N], ascending
  const std::int64_t count = tokens.size(0);
  // 1 - 0.8 is a little less than 0.2: without the allowance five tokens would drop none.
  const auto dropped =
      static_cast<std::int64_t>(std::floor((1.0 - share) * static_cast<double>(count) + 1e-9));
  const auto order = std::get<1>(
      torch::sort(entropy.detach().index_select(0, tokens), /*stable=*/true, 0, /*descending=*/false));
  const auto kept = tokens.index_select(0, order.narrow(0, 0, count - dropped));
  return torch::zeros_like(scored).index_fill_(0, kept, true);
}

torch::Tensor low_entropy_mask(const torch::Tensor& entropy, std::int64_t first_scored, double share) {
  const auto index =
      torch::arange(entropy.numel(), torch::TensorOptions(torch::kInt64).device(entropy.device()));
  return low_entropy_mask(entropy, (index >= first_scored).view(entropy.sizes()), share);
}

}  // namespace foresight
