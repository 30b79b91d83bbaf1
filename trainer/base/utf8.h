// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace foresight {

/// One step through a text that may be damaged.
struct Utf8Step {
  char32_t code_point = 0;  ///< the character where valid
  std::size_t bytes =
      0;  ///< length of the character, or of the damaged part (at least 1, its longest valid start)
  bool valid = false;
  bool cut_off = false;  ///< invalid only because the text ends inside the character
};

/// The character that begins at byte `offset` < text.size().
Utf8Step utf8_step(std::string_view text, std::size_t offset);

/// The byte offset of the last character of `text`, which is valid and not empty.
std::size_t last_character(std::string_view text);

/// Byte offset of the first invalid byte sequence, std::string_view::npos where there is none.
std::size_t first_invalid_utf8(std::string_view text);

/// Throws Error(kInput) at the first invalid UTF-8 byte, naming `where` and the byte offset.
void require_utf8(std::string_view text, const std::string& where);

/// `text` with each damaged part (the longest start of a character, as the Unicode standard recommends) as
/// one U+FFFD.
std::string repair_utf8(std::string_view text);

/// Appends the character to `text`.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace foresight
