#include "trainer/eviction/protection.h"

#include <limits>

#include "trainer/config/cache_size.h"
#include "trainer/eviction/rule_policies.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

std::int64_t most_protected(const EvictionView& view) {
  return view.protected_entries.defined() ? view.protected_entries.max().item<std::int64_t>() : 0;
}

torch::Tensor protected_candidates(const EvictionView& view) {
  if (most_protected(view) == 0) return {};
  // A protected entry is older than all others and was never evicted: it stands at its own position.
  const torch::Tensor index =
      torch::arange(view.budget, torch::TensorOptions().dtype(torch::kInt64).device(view.keys.device()));
  return index < to_device(view.protected_entries, view.keys.device()).view({-1, 1, 1});
}

torch::Tensor highest_unprotected(const EvictionView& view, const torch::Tensor& scores, std::int64_t count) {
  const torch::Tensor closed = protected_candidates(view);
  if (!closed.defined()) return highest_entries(scores, count);
  return highest_entries(scores.masked_fill(closed, -std::numeric_limits<float>::infinity()), count);
}

torch::Tensor evict_highest(const EvictionView& view, const torch::Tensor& scores) {
  return highest_unprotected(view, scores, view.window);
}

EvictionView protect_also(const EvictionView& view, std::int64_t sinks) {
  const std::int64_t rows = view.keys.size(0);
  const CacheSize size{view.budget, view.window, sinks, /*protect_prompt=*/true};
  EvictionView protecting = view;
  torch::Tensor own = torch::zeros({rows}, torch::kInt64);
  for (std::int64_t row = 0; row < rows; ++row) {
    own[row] = size.protected_entries(
        view.prompt_tokens.defined() ? view.prompt_tokens[row].item<std::int64_t>() : 0);
  }
  protecting.protected_entries =
      view.protected_entries.defined() ? torch::maximum(own, view.protected_entries) : own;
  return protecting;
}

}  // namespace foresight
