// Recorded attention of some traces, read window by window: one strip of each layer is in memory at a time.
#pragma once

#include <torch/types.h>

#include <vector>

#include "data/oracle_file.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// Limit of the bytes of all strips together, unless one window of each takes more. It holds all windows of
/// short traces and a few of long ones (Qwen3-4B at 32,768 tokens: 18 MiB per window), so that a file's
/// chunks of 1 MiB are not read again for every window.
inline constexpr std::int64_t kStripBytes = std::int64_t{1} << 26;

class AttentionStrips {
 public:
  /// All traces must have the same length. Throws Error(kInput) when a file cannot be read, Error(kConfig)
  /// when the window is no multiple of the recorded block.
  AttentionStrips(const std::vector<const RecordedTrace*>& traces, std::int64_t window,
                  std::int64_t strip_bytes = kStripBytes);

  /// Attention of a window's queries: [N, K, L] float32, zero beyond the keys that they see. Windows in
  /// ascending order within a layer are each read once. Throws Error(kInput) for a damaged file.
  torch::Tensor window(std::int64_t layer, std::int64_t index);

 private:
  /// Consecutive windows of one layer of one trace.
  struct Strip {
    std::int64_t first = 0, count = 0;
    std::vector<std::uint16_t> bits;  ///< float16, [K, elements of their blocks]
  };
  std::int64_t windows_from(const OracleDimensions& dimensions, std::int64_t first) const;

  std::vector<OracleReader> readers_;
  std::int64_t window_, bytes_each_;        // of a strip
  std::vector<std::vector<Strip>> strips_;  // [N][layers]
};

}  // namespace foresight
