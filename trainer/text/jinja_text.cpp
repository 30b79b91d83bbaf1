#include "trainer/text/jinja_text.h"

#include <string_view>

namespace foresight {

namespace {

bool is_blank(char character) {
  return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string replaced;
  std::size_t done = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
    replaced.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  text = replaced.append(text, done);
}

class Canonicaliser {
 public:
  explicit Canonicaliser(std::string_view text) : text_(text) {}

  std::optional<std::string> run() {
    while (at_ < text_.size()) {
      if (!silent_gap() || (at_ < text_.size() && !tag())) return std::nullopt;
    }
    replace_all(out_, "}}{{", "+");
    replace_all(out_, "'+'", "");
    for (const std::string name : {"role", "content"}) {
      replace_all(out_, "message." + name, "message['" + name + "']");
      replace_all(out_, "messages[0]." + name, "messages[0]['" + name + "']");
    }
    return out_;
  }

 private:
  /// Skips blanks up to the next tag; false when they, or other text, would be rendered.
  bool silent_gap() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    const std::string_view gap = text_.substr(begin, at_ - begin);
    if (at_ == text_.size())
      return gap.empty() || gap == "\n" || trimmed_behind_;  // Jinja drops one newline at the end
    if (text_.compare(at_, 2, "{%") != 0 && text_.compare(at_, 2, "{{") != 0) return false;
    const bool trimmed_before = at_ + 2 < text_.size() && text_[at_ + 2] == '-';
    if (gap.empty() || trimmed_behind_ || trimmed_before) return true;
    // trim_blocks takes the newline behind a block, lstrip_blocks the indentation before one.
    const bool own_line = begin == 0 || (behind_block_ && gap.front() == '\n');
    const std::string_view indentation = begin == 0 ? gap : gap.substr(own_line ? 1 : 0);
    const bool before_block = text_.compare(at_, 2, "{%") == 0;
    return own_line &&
           (indentation.empty() || (before_block && indentation.find('\n') == std::string_view::npos));
  }

  /// Writes one {%...%} or {{...}}; false where it is not closed.
  bool tag() {
    const bool block = text_[at_ + 1] == '%';
    const std::string_view close = block ? "%}" : "}}";
    out_ += block ? "{%" : "{{";
    at_ += 2;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
    while (at_ < text_.size()) {
      const char character = text_[at_];
      const bool trims = character == '-' && text_.compare(at_ + 1, 2, close) == 0;
      if (trims || text_.compare(at_, 2, close) == 0) {
        at_ += trims ? 3 : 2;
        trimmed_behind_ = trims;
        behind_block_ = block;
        out_ += close;
        return true;
      }
      if (character == '\'' || character == '"') {
        if (!literal(character)) return false;
        continue;
      }
      if (!is_blank(character)) out_ += character;
      ++at_;
    }
    return false;
  }

  bool literal(char quote) {
    out_ += '\'';
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      char character = text_[at_];
      if (character == '\\') {
        if (++at_ >= text_.size()) return false;
        const std::size_t known = std::string_view("nt\\'\"").find(text_[at_]);
        if (known == std::string_view::npos) return false;
        character = "\n\t\\'\""[known];
      }
      if (character == '\\' || character == '\'') out_ += '\\';
      out_ += character;
    }
    if (at_ >= text_.size()) return false;
    out_ += '\'';
    ++at_;
    return true;
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0;
  bool trimmed_behind_ = false, behind_block_ = false;
};

}  // namespace

std::optional<std::string> canonical_template(const std::string& text) {
  return Canonicaliser(text).run();
}

std::string unescape_canonical(const std::string& text) {
  std::string plain;
  for (std::size_t index = 0; index < text.size(); ++index) {
    if (text[index] == '\\' && index + 1 < text.size()) ++index;
    plain += text[index];
  }
  return plain;
}

}  // namespace foresight
