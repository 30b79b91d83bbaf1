#include "golden_eviction/golden_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "golden_eviction/future_attention.h"
#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// Replaces row b of [windows, L] by the maximum of rows b, b + 1, ...
void take_suffix_maximum(const torch::Tensor& attention) {
  for (std::int64_t window = attention.size(0) - 2; window >= 0; --window) {
    torch::Tensor row = attention[window];
    torch::maximum_out(row, row, attention[window + 1]);
  }
}

/// The windows of a head's future attention in parts that fit memory.
class AttentionParts {
 public:
  AttentionParts(const HeadAttention& attention_of, std::int64_t head, std::int64_t windows,
                 std::int64_t length)
      : attention_of_(attention_of),
        head_(head),
        windows_(windows),
        length_(length),
        each_(windows_of_plan_part(windows, length)) {}

  std::int64_t count() const { return (windows_ + each_ - 1) / each_; }
  std::int64_t part_of(std::int64_t window) const { return window / each_; }
  std::int64_t first_window(std::int64_t part) const { return part * each_; }

  /// [windows of the part, L]
  torch::Tensor read(std::int64_t part) const {
    heartbeat();
    const std::int64_t first = first_window(part), some = std::min(each_, windows_ - first);
    torch::Tensor rows = attention_of_(head_, first, some);
    check_shape(rows, {some, length_}, "future attention of a head");
    return rows;
  }

  /// As read(), each row the maximum of its window, the later ones of the part and `behind` [L], which may be
  /// undefined.
  torch::Tensor read_maximum(std::int64_t part, const torch::Tensor& behind) const {
    torch::Tensor rows = read(part).contiguous();
    torch::Tensor last = rows[rows.size(0) - 1];
    if (behind.defined()) torch::maximum_out(last, last, behind);
    take_suffix_maximum(rows);
    return rows;
  }

 private:
  const HeadAttention& attention_of_;
  std::int64_t head_, windows_, length_, each_;
};

/// The largest attention of each window of a head and of those after it, in ascending order: one pass over
/// the parts from the last on keeps the maximum behind each, a second one from the first on uses them.
class FutureMaximum {
 public:
  explicit FutureMaximum(const AttentionParts& parts)
      : parts_(parts), behind_(static_cast<std::size_t>(parts.count())) {
    for (std::size_t part = behind_.size() - 1; part > 0; --part) {
      const torch::Tensor most = std::get<0>(parts_.read(static_cast<std::int64_t>(part)).max(0));
      behind_[part - 1] = behind_[part].defined() ? torch::maximum(most, behind_[part]) : most;
    }
  }

  /// [L] of a window; ask in ascending order.
  const float* row(std::int64_t window) {
    const std::int64_t part = parts_.part_of(window);
    if (part != held_part_) {
      held_ = torch::Tensor();  // freed before the next one is read
      held_ = parts_.read_maximum(part, behind_[static_cast<std::size_t>(part)]);
      held_part_ = part;
    }
    return held_[window - parts_.first_window(part)].const_data_ptr<float>();
  }

 private:
  AttentionParts parts_;
  std::vector<torch::Tensor> behind_;  // by part: [L] of all windows behind it; undefined: there are none
  torch::Tensor held_;                 // the part that rows are given of
  std::int64_t held_part_ = -1;
};

/// One KV head: fills the rows of the plan, of which `candidates` and `contribution` may be null.
void plan_head(FutureMaximum future, const CacheSize& size, std::int64_t steps,
               std::int64_t protected_entries, std::int32_t* evicted, std::int32_t* candidates,
               float* contribution) {
  const std::int64_t budget = size.budget, window = size.window;
  std::vector<std::int32_t> live(static_cast<std::size_t>(budget));
  std::vector<std::int64_t> order(static_cast<std::size_t>(budget));
  std::vector<float> scores(static_cast<std::size_t>(budget));
  std::iota(live.begin(), live.end(), 0);
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t seen = size.seen_at_step(step);
    const float* row = future.row(seen / window);
    std::transform(live.begin(), live.end(), scores.begin(),
                   [row](std::int32_t position) { return row[position]; });
    if (candidates != nullptr) std::copy(live.begin(), live.end(), candidates + step * budget);
    if (contribution != nullptr) std::copy(scores.begin(), scores.end(), contribution + step * budget);
    std::iota(order.begin(), order.end(), 0);
    // Protected entries are older than all others and are never evicted, so they stay the first ones.
    const auto first_open = order.begin() + protected_entries, first_kept = first_open + window;
    const float* const score = scores.data();
    std::partial_sort(first_open, first_kept, order.end(), [score](std::int64_t a, std::int64_t b) {
      return score[a] != score[b] ? score[a] < score[b] : a < b;
    });
    for (std::int64_t rank = 0; rank < window; ++rank) {
      evicted[step * window + rank] = live[static_cast<std::size_t>(first_open[rank])];
    }
    std::sort(first_kept, order.end());
    std::vector<std::int32_t> next(live.begin(), live.begin() + protected_entries);
    next.reserve(static_cast<std::size_t>(budget));
    for (auto kept = first_kept; kept != order.end(); ++kept)
      next.push_back(live[static_cast<std::size_t>(*kept)]);
    for (std::int64_t position = seen - window; position < seen; ++position)
      next.push_back(static_cast<std::int32_t>(position));
    live = std::move(next);
  }
}

void require_whole_windows(const CacheSize& size) {
  if (size.window >= 1 && size.budget >= size.window && size.budget % size.window == 0) return;
  throw Error(ErrorKind::kConfig, concat("budget ", size.budget, " must be a multiple of window ",
                                         size.window, ": eviction steps must fall on the recorded windows"));
}

}  // namespace

std::int64_t windows_of_plan_part(std::int64_t windows, std::int64_t length) {
  constexpr std::int64_t kElements = 1 << 18;  // 1 MiB
  const auto root = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(windows))));
  return std::clamp<std::int64_t>(std::max(kElements / length, root), 1, windows);
}

torch::Tensor long_term_contribution(std::int64_t heads, std::int64_t length, const CacheSize& size,
                                     const std::vector<std::int64_t>& steps,
                                     const HeadAttention& attention_of) {
  require_whole_windows(size);
  for (const std::int64_t step : steps) {
    if (step < 0 || step >= size.steps(length)) {
      throw Error(ErrorKind::kInternal, concat("contribution at eviction ", step, " of a trace of ", length,
                                               " tokens, which has ", size.steps(length)));
    }
  }
  torch::Tensor contribution = torch::empty({static_cast<std::int64_t>(steps.size()), heads, length});
  if (steps.empty()) return contribution;
  const auto window_of = [&](std::int64_t step) { return size.seen_at_step(step) / size.window; };
  const std::int64_t first = *std::min_element(steps.begin(), steps.end());
  for (std::int64_t head = 0; head < heads; ++head) {
    const AttentionParts parts(attention_of, head, windows_of(length, size.window), length);
    torch::Tensor behind;  // [L] the maximum of the windows behind a part
    for (std::int64_t part = parts.count() - 1; part >= parts.part_of(window_of(first)); --part) {
      const torch::Tensor rows = parts.read_maximum(part, behind);
      for (std::size_t i = 0; i < steps.size(); ++i) {
        const std::int64_t window = window_of(steps[i]);
        if (parts.part_of(window) != part) continue;
        contribution[static_cast<std::int64_t>(i)][head].copy_(rows[window - parts.first_window(part)]);
      }
      behind = rows[0].clone();
    }
  }
  return contribution;
}

GoldenPlan golden_plan(std::int64_t heads, std::int64_t length, const CacheSize& size,
                       std::int64_t prompt_tokens, const HeadAttention& attention_of) {
  require_whole_windows(size);
  const std::int64_t windows = windows_of(length, size.window), steps = size.steps(length);
  GoldenPlan plan{.evicted = torch::empty({heads, steps, size.window}, torch::kInt32),
                  .candidates = torch::empty({heads, steps, size.budget}, torch::kInt32),
                  .contribution = torch::empty({heads, steps, size.budget})};
  for (std::int64_t head = 0; head < heads; ++head) {
    plan_head(FutureMaximum({attention_of, head, windows, length}), size, steps,
              size.protected_entries(prompt_tokens),
              plan.evicted.data_ptr<std::int32_t>() + head * steps * size.window,
              plan.candidates.data_ptr<std::int32_t>() + head * steps * size.budget,
              plan.contribution.data_ptr<float>() + head * steps * size.budget);
  }
  return plan;
}

torch::Tensor golden_evicted(std::int64_t heads, std::int64_t length, const CacheSize& size,
                             std::int64_t prompt_tokens, const HeadAttention& attention_of) {
  require_whole_windows(size);
  const std::int64_t windows = windows_of(length, size.window), steps = size.steps(length);
  torch::Tensor evicted = torch::empty({heads, steps, size.window}, torch::kInt32);
  for (std::int64_t head = 0; head < heads; ++head) {
    plan_head(FutureMaximum({attention_of, head, windows, length}), size, steps,
              size.protected_entries(prompt_tokens),
              evicted.data_ptr<std::int32_t>() + head * steps * size.window, nullptr, nullptr);
  }
  return evicted;
}

GoldenPlan golden_plan(const torch::Tensor& attention, const CacheSize& size, std::int64_t prompt_tokens) {
  require_whole_windows(size);
  const std::int64_t windows = attention.dim() == 3 ? windows_of(attention.size(2), size.window) : -1;
  if (attention.dim() != 3 || attention.size(1) != windows) {
    throw Error(ErrorKind::kInput,
                concat("future attention: expected [K, ", windows, " windows, L], got ", attention.sizes()));
  }
  return golden_plan(attention.size(0), attention.size(2), size, prompt_tokens,
                     [&](std::int64_t head, std::int64_t first, std::int64_t count) {
                       return attention[head]
                           .narrow(0, first, count)
                           .to(torch::kCPU, torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
                     });
}

}  // namespace foresight
