// The size of an evicting cache, what of it is never evicted, and the arithmetic of its steps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace foresight {

/// In tokens per KV head. docs/method.md, "The cache".
struct CacheSize {
  std::int64_t budget = 256;       ///< B, entries kept after an eviction; a multiple of window
  std::int64_t window = 64;        ///< W, tokens between two evictions; the newest `window` are never evicted
  std::int64_t protect_sinks = 0;  ///< first tokens of a trace that no policy evicts
  bool protect_prompt = false;     ///< nor those of its prompt
  /// Live entries when an eviction is due: B + W.
  std::int64_t entries() const { return budget + window; }
  /// Tokens seen at step s: p_s = B + (s + 1) W.
  std::int64_t seen_at_step(std::int64_t step) const { return budget + (step + 1) * window; }
  /// Steps of a trace of `tokens`: those with p_s < tokens.
  std::int64_t steps(std::int64_t tokens) const {
    return tokens <= budget + window ? 0 : (tokens - budget - 1) / window;
  }
  /// First token whose loss an eviction can touch: t > B + W.
  std::int64_t first_scored() const { return budget + window + 1; }
  /// First entries of a trace that are never evicted, where its prompt has `prompt_tokens`. At least W of the
  /// B candidates stay open: of a longer prompt its first B - W tokens are protected.
  std::int64_t protected_entries(std::int64_t prompt_tokens) const {
    return std::min(std::max(protect_sinks, protect_prompt ? prompt_tokens : 0), budget - window);
  }
  /// The same rules at another budget.
  CacheSize with_budget(std::int64_t other) const {
    CacheSize size = *this;
    size.budget = other;
    return size;
  }
  bool operator==(const CacheSize&) const = default;
};

/// The size that training uses for traces of `tokens` at turn `turn`: the budgets of the list that leave such
/// a trace an eviction take turns; `size` as it is where the list has none.
inline CacheSize size_of_turn(const CacheSize& size, const std::vector<std::int64_t>& budgets,
                              std::int64_t tokens, std::int64_t turn) {
  std::vector<CacheSize> fitting;
  for (const std::int64_t budget : budgets) {
    if (size.with_budget(budget).steps(tokens) > 0) fitting.push_back(size.with_budget(budget));
  }
  return fitting.empty() ? size : fitting[static_cast<std::size_t>(turn) % fitting.size()];
}

/// The size of the largest cache among those that training uses.
inline CacheSize largest_size(const CacheSize& size, const std::vector<std::int64_t>& budgets) {
  return budgets.empty() ? size : size.with_budget(*std::max_element(budgets.begin(), budgets.end()));
}

}  // namespace foresight
