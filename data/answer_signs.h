// Characters of answers, and control characters as marks for what no character can express. Free of torch.
#pragma once

#include <cstddef>
#include <string_view>

namespace foresight {

inline constexpr char kTextBegins = '\x01';      ///< what was inside \text{}, \mathrm{} and the like ...
inline constexpr char kTextEnds = '\x02';        ///< ... ends here
inline constexpr char kDegree = '\x03';          ///< ^\circ, the degree sign
inline constexpr char kDigitSeparator = '\x04';  ///< {,} and ,\! between digits: never a list's comma
inline constexpr std::string_view kTextMarks = "\x01\x02";
inline constexpr std::size_t kMaxAnswerBytes = 4096;  ///< longer answers are compared as they are

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
inline bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace foresight
