// The size of an evicting cache, and the arithmetic of its steps.
#pragma once

#include <cstdint>

namespace foresight {

/// In tokens per KV head. docs/method.md, "The cache".
struct CacheSize {
  std::int64_t budget = 256;  ///< B, entries kept after an eviction; a multiple of window
  std::int64_t window = 64;   ///< W, tokens between two evictions; the newest `window` are never evicted
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
  bool operator==(const CacheSize&) const = default;
};

}  // namespace foresight
