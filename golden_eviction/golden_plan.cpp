#include "golden_eviction/golden_plan.h"

#include <algorithm>
#include <numeric>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// Suffix maxima: row b holds the greatest attention of windows b, b + 1, ...
torch::Tensor suffix_maximum(const torch::Tensor& attention) {
  return std::get<0>(attention.flip({1}).cummax(1)).flip({1}).contiguous();
}

/// One KV head: fills the rows of the plan from future [windows, L].
void plan_head(const float* future, std::int64_t length, const CacheSize& size, std::int64_t steps,
               std::int64_t* evicted, std::int64_t* candidates, float* contribution) {
  const std::int64_t budget = size.budget, window = size.window;
  std::vector<std::int64_t> live(static_cast<std::size_t>(budget)), order(static_cast<std::size_t>(budget));
  std::iota(live.begin(), live.end(), 0);
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t seen = size.seen_at_step(step);
    const float* row = future + (seen / window) * length;
    float* scores = contribution + step * budget;
    std::copy(live.begin(), live.end(), candidates + step * budget);
    for (std::int64_t i = 0; i < budget; ++i) scores[i] = row[live[static_cast<std::size_t>(i)]];
    std::iota(order.begin(), order.end(), 0);
    const auto first_kept = order.begin() + window;
    std::partial_sort(order.begin(), first_kept, order.end(), [&](std::int64_t a, std::int64_t b) {
      return scores[a] != scores[b] ? scores[a] < scores[b] : a < b;
    });
    for (std::int64_t rank = 0; rank < window; ++rank) {
      evicted[step * window + rank] = live[static_cast<std::size_t>(order[static_cast<std::size_t>(rank)])];
    }
    std::sort(first_kept, order.end());
    std::vector<std::int64_t> next;
    next.reserve(static_cast<std::size_t>(budget));
    for (auto kept = first_kept; kept != order.end(); ++kept)
      next.push_back(live[static_cast<std::size_t>(*kept)]);
    for (std::int64_t position = seen - window; position < seen; ++position) next.push_back(position);
    live = std::move(next);
  }
}

}  // namespace

GoldenPlan golden_plan(const torch::Tensor& attention, const CacheSize& size) {
  if (size.window < 1 || size.budget < size.window || size.budget % size.window != 0) {
    throw Error(ErrorKind::kConfig,
                concat("budget ", size.budget, " must be a multiple of window ", size.window,
                       ": eviction steps must fall on the recorded windows"));
  }
  const std::int64_t windows =
      attention.dim() == 3 ? (attention.size(2) + size.window - 1) / size.window : -1;
  if (attention.dim() != 3 || attention.size(1) != windows) {
    throw Error(ErrorKind::kInput,
                concat("future attention: expected [K, ", windows, " windows, L], got ", attention.sizes()));
  }
  const std::int64_t heads = attention.size(0), length = attention.size(2), steps = size.steps(length);
  GoldenPlan plan{.evicted = torch::empty({heads, steps, size.window}, torch::kInt64),
                  .candidates = torch::empty({heads, steps, size.budget}, torch::kInt64),
                  .contribution = torch::empty({heads, steps, size.budget})};
  const torch::Tensor future = suffix_maximum(attention.to(torch::kCPU, torch::kFloat32));
  for (std::int64_t head = 0; head < heads; ++head) {
    heartbeat();
    plan_head(future.const_data_ptr<float>() + head * windows * length, length, size, steps,
              plan.evicted.data_ptr<std::int64_t>() + head * steps * size.window,
              plan.candidates.data_ptr<std::int64_t>() + head * steps * size.budget,
              plan.contribution.data_ptr<float>() + head * steps * size.budget);
  }
  return plan;
}

}  // namespace foresight
