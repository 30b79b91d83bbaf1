// A text that was changed before tokenizing, with the byte offsets in its source.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// A text after normalisation.
struct NormalizedText {
  std::string text;
  /// For each byte of `text`, one past the last byte of the source it came from; empty where nothing changed.
  std::vector<std::size_t> source_ends;

  /// Byte offset in the source up to which the first `end` bytes of `text` reach.
  std::size_t source_end(std::size_t end) const {
    return source_ends.empty() || end == 0 ? end : source_ends[end - 1];
  }
};

/// Joins two changes: `later`, whose source is the text of `earlier`, with offsets in earlier's source.
NormalizedText chained(const NormalizedText& earlier, NormalizedText later);

/// `text` behind `prefix`, which counts to the first character; an empty text stays empty.
NormalizedText with_prefix(std::string_view text, std::string_view prefix);

/// `text` with `content` in place of every `pattern` (not empty).
NormalizedText with_replaced(std::string_view text, std::string_view pattern, std::string_view content);

}  // namespace foresight
