// The text of a chat template, cut into text that is rendered as it is and the signs inside tags.
#pragma once

#include <string>
#include <vector>

#include "trainer/text/jinja_work.h"

namespace foresight::jinja {

enum class TokenKind {
  kText,
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kSign,
  kEnd
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: its value, escapes resolved
  int line;
};

/// Comments are left out, and so are the blanks that Jinja removes with transformers' settings (trim_blocks,
/// lstrip_blocks, no newline kept at the end, "-" and "+" in tags). The last token is kEnd. Refuses tags that
/// are not closed and signs that no supported expression has.
std::vector<Token> tokenize(const std::string& source, Work& work);

}  // namespace foresight::jinja
