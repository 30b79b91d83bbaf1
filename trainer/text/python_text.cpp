#include "trainer/text/python_text.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>

#include <algorithm>
#include <new>

#include "trainer/base/utf8.h"

namespace foresight::python {

namespace {

bool stripped(std::string_view character, const std::optional<std::string_view>& chosen) {
  if (!chosen) return is_space(utf8_step(character, 0).code_point);
  return chosen->find(character) != std::string_view::npos;  // UTF-8 finds whole characters only
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::int64_t length(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<std::uint8_t>(byte) & 0xC0) != 0x80; });
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> all;
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t bytes = utf8_step(text, offset).bytes;
    all.push_back(text.substr(offset, bytes));
    offset += bytes;
  }
  return all;
}

std::string_view strip(std::string_view text, bool left, bool right, std::optional<std::string_view> chosen) {
  while (left && !text.empty()) {
    const std::size_t bytes = utf8_step(text, 0).bytes;
    if (!stripped(text.substr(0, bytes), chosen)) break;
    text.remove_prefix(bytes);
  }
  while (right && !text.empty()) {
    const std::size_t last = last_character(text);
    if (!stripped(text.substr(last), chosen)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, std::int64_t most,
                               bool from_right) {
  std::vector<std::string> parts;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == std::string_view::npos) break;
    const std::size_t behind = found + separator.size();
    parts.emplace_back(from_right ? text.substr(behind) : text.substr(0, found));
    text = from_right ? text.substr(0, found) : text.substr(behind);
  }
  parts.emplace_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_at_blanks(std::string_view text) {
  std::vector<std::string> parts;
  bool open = false;
  for (const std::string_view character : characters(text)) {
    const bool blank = is_space(utf8_step(character, 0).code_point);
    if (!blank && !open) parts.emplace_back();
    if (!blank) parts.back() += character;
    open = !blank;
  }
  return parts;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most) {
  std::string result;
  if (from.empty()) {  // before each character and at the end
    for (const std::string_view character : characters(text)) {
      if (most != 0) result += to;
      if (most > 0) --most;
      result += character;
    }
    return most == 0 ? result : result.append(to);
  }
  for (std::size_t found = text.find(from); most != 0 && found != std::string_view::npos;
       found = text.find(from)) {
    result.append(text.substr(0, found)).append(to);
    text.remove_prefix(found + from.size());
    if (most > 0) --most;
  }
  return result.append(text);
}

std::string upper(std::string_view text) {
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToUpper("", 0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())),
                            sink, nullptr, status);
  if (U_FAILURE(status)) throw std::bad_alloc();  // its data are linked in: only memory can be lacking
  return result;
}

std::string lower(std::string_view text) {
  std::string result;
  icu::StringByteSink<std::string> sink(&result);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToLower("", 0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())),
                            sink, nullptr, status);
  if (U_FAILURE(status)) throw std::bad_alloc();
  return result;
}

}  // namespace foresight::python
