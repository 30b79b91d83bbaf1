#include "trainer/evaluation/token_selection.h"

#include <cmath>

#include "trainer/model/tensor_io.h"

namespace foresight {

torch::Tensor scored_tokens(const RecordedTrace& trace, std::int64_t first_scored, ScoreTokens score) {
  torch::Tensor scored = torch::arange(trace.length()) >= first_scored;
  if (score == ScoreTokens::kCompletion) scored = scored.logical_and(trace.completion);
  return scored;
}

torch::Tensor low_entropy_tokens(const torch::Tensor& entropy, const torch::Tensor& scored, double share) {
  check_shape(scored, entropy.sizes(), "scored tokens");
  const torch::Tensor positions = scored.nonzero().squeeze(1);  // ascending
  const std::int64_t count = positions.size(0);
  // 0.2 * 5 must drop 1, although (1 - 0.8) * 5 is a hair below it.
  const auto dropped = static_cast<std::int64_t>(std::floor((1.0 - share) * static_cast<double>(count) + 1e-9));
  const torch::Tensor order = torch::argsort(entropy.index_select(0, positions), /*stable=*/true, /*dim=*/0,
                                             /*descending=*/false);
  torch::Tensor mask = torch::zeros_like(scored);
  mask.index_fill_(0, positions.index_select(0, order.narrow(0, 0, count - dropped)), true);
  return mask;
}

}  // namespace foresight
