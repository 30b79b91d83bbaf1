#include "trainer/text/normalized_text.h"

#include "trainer/base/utf8.h"

namespace foresight {

namespace {

/// Takes over text[begin, end) unchanged.
void copy_part(std::string_view text, std::size_t begin, std::size_t end, NormalizedText& result) {
  result.text.append(text.substr(begin, end - begin));
  for (std::size_t index = begin; index < end; ++index) result.source_ends.push_back(index + 1);
}

}  // namespace

NormalizedText chained(const NormalizedText& earlier, NormalizedText later) {
  if (later.source_ends.empty()) {
    // Nothing changed: later.text is earlier.text.
    later.source_ends = earlier.source_ends;
  } else {
    for (std::size_t& end : later.source_ends) end = earlier.source_end(end);
  }
  return later;
}

NormalizedText with_prefix(std::string_view text, std::string_view prefix) {
  if (text.empty() || prefix.empty()) return {std::string(text), {}};
  NormalizedText result;
  result.text.reserve(prefix.size() + text.size());
  result.source_ends.reserve(prefix.size() + text.size());
  result.text = prefix;
  result.source_ends.assign(prefix.size(), utf8_step(text, 0).bytes);
  copy_part(text, 0, text.size(), result);
  return result;
}

NormalizedText with_replaced(std::string_view text, std::string_view pattern, std::string_view content) {
  std::size_t found = text.find(pattern);
  if (found == std::string_view::npos) return {std::string(text), {}};
  NormalizedText result;
  std::size_t done = 0;
  for (; found != std::string_view::npos; found = text.find(pattern, done)) {
    copy_part(text, done, found, result);
    done = found + pattern.size();
    result.text += content;
    result.source_ends.insert(result.source_ends.end(), content.size(), done);
  }
  copy_part(text, done, text.size(), result);
  return result;
}

}  // namespace foresight
