#include "trainer/text/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/text/python_text.h"

namespace foresight::jinja {

namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Line ends as "\n", the last one gone.
std::string with_plain_lines(const std::string& source) {
  std::string plain = python::replace(python::replace(source, "\r\n", "\n", -1), "\r", "\n", -1);
  if (plain.ends_with('\n')) plain.pop_back();
  return plain;
}

class Lexer {
 public:
  Lexer(std::string_view text, Work& work) : text_(text), work_(work) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      const std::size_t begin = next_tag();
      plain_text(begin);
      if (at_ >= text_.size()) break;
      const char kind = text_[at_ + 1];
      move(2);
      if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) move(1);
      kind == '#' ? comment() : tag(kind == '%');
    }
    put(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void put(TokenKind kind, std::string_view text) { tokens_.push_back({kind, std::string(text), line_}); }

  /// Goes on by `bytes`, counting lines.
  void move(std::size_t bytes) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    work_.at(line_);
  }

  bool here(std::string_view sign) const { return text_.compare(at_, sign.size(), sign) == 0; }

  /// Where the next "{{", "{%" or "{#" is; the end where there is none.
  std::size_t next_tag() const {
    for (std::size_t found = text_.find('{', at_); found != std::string_view::npos;
         found = text_.find('{', found + 1)) {
      if (found + 1 < text_.size() &&
          std::string_view("{%#").find(text_[found + 1]) != std::string_view::npos) {
        return found;
      }
    }
    return text_.size();
  }

  /// Writes the text up to the tag at `begin`, without the blanks that the tag takes.
  void plain_text(std::size_t begin) {
    std::string_view part = text_.substr(at_, begin - at_);
    const int line = line_;
    if (begin + 1 < text_.size()) {
      const char sign = begin + 2 < text_.size() ? text_[begin + 2] : ' ';
      if (sign == '-') {
        part = python::strip(part, false, true);
      } else if (sign != '+' && text_[begin + 1] != '{') {
        part = without_indentation(part);
      }
    }
    move(begin - at_);
    if (!part.empty()) tokens_.push_back({TokenKind::kText, std::string(part), line});
  }

  /// lstrip_blocks: if only blanks stand between the line's start and a block or comment, they are removed.
  std::string_view without_indentation(std::string_view part) const {
    const std::size_t newline = part.rfind('\n');
    if (newline == std::string_view::npos && !line_starts_) return part;
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    return python::strip(part.substr(begin), true, false).empty() ? part.substr(0, begin) : part;
  }

  /// After a tag: `trims` ("-") removes all blanks, the end of a block or comment removes one newline.
  void behind_tag(bool trims, bool takes_newline) {
    line_starts_ = false;
    if (trims) {
      const std::string_view rest = text_.substr(at_);
      const std::size_t blanks = rest.size() - python::strip(rest, true, false).size();
      move(blanks);
      line_starts_ = blanks > 0 && text_[at_ - 1] == '\n';
    } else if (takes_newline && here("\n")) {
      move(1);
      line_starts_ = true;
    }
  }

  void comment() {
    const std::size_t close = text_.find("#}", at_);
    if (close == std::string_view::npos) work_.refuse("a comment is not closed");
    const char sign = close > at_ ? text_[close - 1] : ' ';
    move(close + 2 - at_);
    behind_tag(sign == '-', sign != '+');
  }

  /// The signs of one tag and its end.
  void tag(bool block) {
    put(block ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, "");
    const std::string_view close = block ? "%}" : "}}";
    std::string open;  // brackets
    while (at_ < text_.size()) {
      const bool signed_end = (here("-") || (block && here("+"))) && text_.compare(at_ + 1, 2, close) == 0;
      if (open.empty() && (signed_end || here(close))) {
        const char sign = text_[at_];
        move(signed_end ? 3 : 2);
        put(block ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, "");
        return behind_tag(signed_end && sign == '-', block && !signed_end);
      }
      token(open);
    }
    work_.refuse("a tag is not closed");
  }

  void token(std::string& open) {
    const char c = text_[at_];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) return move(1);
    if (c == '\'' || c == '"') return string(c);
    if (is_word(c)) return word();
    constexpr std::string_view kOpening = "([{", kClosing = ")]}";
    if (kOpening.find(c) != std::string_view::npos) open += c;
    if (const std::size_t kind = kClosing.find(c); kind != std::string_view::npos) {
      if (open.empty() || open.back() != kOpening[kind]) work_.refuse(concat("\"", c, "\" closes nothing"));
      open.pop_back();
    }
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (!here(sign)) continue;
      put(TokenKind::kSign, sign);
      return move(2);
    }
    if (std::string_view("+-*/%~<>=.,:|()[]{}").find(c) == std::string_view::npos) {
      work_.refuse(concat("\"", one_line(text_.substr(at_, utf8_step(text_, at_).bytes)),
                          "\" in a tag is not supported"));
    }
    put(TokenKind::kSign, std::string_view(&c, 1));
    move(1);
  }

  void word() {
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    const std::string_view word = text_.substr(at_, end - at_);
    const bool number = std::isdigit(static_cast<unsigned char>(word.front())) != 0;
    if (number && !std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      work_.refuse(concat("the number ", one_line(word), " is not supported"));
    }
    if (number && end + 1 < text_.size() && text_[end] == '.' &&
        std::isdigit(static_cast<unsigned char>(text_[end + 1])) != 0) {
      work_.refuse("numbers with a decimal point are not supported");
    }
    put(number ? TokenKind::kInteger : TokenKind::kName, word);
    move(word.size());
  }

  void string(char quote) {
    std::string value;
    std::size_t end = at_ + 1;
    for (; end < text_.size() && text_[end] != quote; ++end) {
      if (text_[end] != '\\') {
        value += text_[end];
      } else {
        end = escape(end + 1, value);
      }
    }
    if (end >= text_.size()) work_.refuse("a string is not closed");
    put(TokenKind::kString, value);
    move(end + 1 - at_);
  }

  /// Resolves the escape whose letter is at `at`, as Python does; the place of its last sign.
  std::size_t escape(std::size_t at, std::string& value) {
    if (at >= text_.size()) work_.refuse("a string is not closed");
    const char kind = text_[at];
    constexpr std::string_view kLetters = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
    if (const std::size_t known = kLetters.find(kind); known != std::string_view::npos) {
      value += kValues[known];
      return at;
    }
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits > 0) {
      append_code_point(text_.substr(std::min(at + 1, text_.size()), digits), digits, value);
      return at + digits;
    }
    if (kind == 'N' || (kind >= '0' && kind <= '7')) {
      work_.refuse(concat("the escape \\", kind, " in a string is not supported"));
    }
    if (kind != '\n') (value += '\\') += kind;  // Python keeps what it does not know
    return at;
  }

  void append_code_point(std::string_view digits, std::size_t count, std::string& value) {
    const bool whole = digits.size() == count && std::all_of(digits.begin(), digits.end(), [](char c) {
                         return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                       });
    const std::uint64_t code = whole ? std::stoull(std::string(digits), nullptr, 16) : 0x110000;
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      work_.refuse("a string has an escape that is not a character");
    }
    append_utf8(value, static_cast<char32_t>(code));
  }

  std::string_view text_;
  Work& work_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // a line begins at at_
};

}  // namespace

std::vector<Token> tokenize(const std::string& source, Work& work) {
  const std::string plain = with_plain_lines(source);
  return Lexer(plain, work).run();
}

}  // namespace foresight::jinja
