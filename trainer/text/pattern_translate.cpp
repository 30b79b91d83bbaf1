#include <cctype>
#include <cstring>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/text/pattern.h"

namespace foresight {

namespace {

/// Walks an Oniguruma expression and writes one for PCRE2. It changes only what differs:
/// - \s is Unicode's White_Space in Oniguruma; PCRE2 adds U+180E;
/// - \w has marks, connectors, Alphabetic and the six numbers of Latin-1 in Oniguruma; in PCRE2 letters,
/// numbers and "_";
/// - \p{Han} is the script in Oniguruma; PCRE2 takes the script extensions.
class Translator {
 public:
  Translator(const std::string& expression, const std::string& where) : in_(expression), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char character = in_[at_];
      if (character == '\\') {
        escape();
      } else if (character == '[') {
        open_bracket();
      } else if (character == ']' && in_class_) {
        in_class_ = false;
        copy(1);
      } else if (character == '&' && in_class_ && in_.compare(at_, 2, "&&") == 0) {
        fail("an intersection of character classes (&&)");
      } else if (!in_class_ && in_.compare(at_, 2, "(?") == 0) {
        group_option();
      } else if (character == '}' && !in_class_ && at_ + 1 < in_.size() && in_[at_ + 1] == '+') {
        fail("{..}+, which is possessive in one dialect and a repetition in the other");
      } else {
        copy(1);
      }
    }
    return out_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kInput, concat(where_, ": the pattern ", one_line(in_), " uses ", one_line(what),
                                          ", which is not supported"));
  }

  void copy(std::size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  std::size_t closing_brace() const {
    const std::size_t close = in_.find('}', at_);
    if (close == std::string::npos) fail("an escape without its closing brace");
    return close;
  }

  /// Of the options, i means the same in both dialects; Oniguruma's m is PCRE2's s.
  void group_option() {
    std::size_t end = at_ + 2;
    while (end < in_.size() && (std::isalpha(static_cast<unsigned char>(in_[end])) || in_[end] == '-')) ++end;
    const std::string options = in_.substr(at_ + 2, end - at_ - 2);
    if (!options.empty() && options != "i") fail(concat("(?", options));
    copy(end - at_);
  }

  void open_bracket() {
    if (in_class_) fail("a character class inside another");
    in_class_ = true;
    copy(1);
    if (at_ < in_.size() && in_[at_] == '^') copy(1);
    if (at_ < in_.size() && in_[at_] == ']') fail("\"]\" as the first sign of a character class");
  }

  /// Writes a set of characters: bare inside brackets, bracketed outside.
  void put_set(const char* members, bool negated) {
    if (in_class_ && negated) fail("a negated escape (\\S, \\W) inside a character class");
    out_ += in_class_ ? members : concat(negated ? "[^" : "[", members, "]");
    at_ += 2;
  }

  void escape() {
    if (at_ + 1 >= in_.size()) fail("a backslash at the end");
    constexpr const char* kSpace = "\\t-\\r\\x{85}\\p{Z}";
    constexpr const char* kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE";
    const char kind = in_[at_ + 1];
    switch (kind) {
      case 's':
        return put_set(kSpace, false);
      case 'S':
        return put_set(kSpace, true);
      case 'w':
        return put_set(kWord, false);
      case 'W':
        return put_set(kWord, true);
      case 'p':
      case 'P':
        return property();
      case 'x':
        return copy(in_.compare(at_ + 2, 1, "{") == 0 ? closing_brace() + 1 - at_ : 2);
      default:
        // Escaped signs and these letters mean the same in both.
        if (std::isalnum(static_cast<unsigned char>(kind)) && std::strchr("dDtnrfaeAz", kind) == nullptr) {
          fail(concat("\\", kind));
        }
        copy(2);
    }
  }

  void property() {
    if (in_.compare(at_ + 2, 1, "{") != 0) fail("\\p without {name}");
    const std::size_t close = closing_brace();
    std::string name = in_.substr(at_ + 3, close - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (!name.empty() && name.front() == '^') {
      negated = !negated;
      name.erase(0, 1);
    }
    const bool same_in_both = name.size() <= 2 || name == "Alphabetic";
    out_ += concat(negated ? "\\P{" : "\\p{", same_in_both ? "" : "sc:", name, "}");
    at_ = close + 1;
  }

  const std::string& in_;
  const std::string& where_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string translate_oniguruma(const std::string& expression, const std::string& where) {
  return Translator(expression, where).run();
}

}  // namespace foresight
