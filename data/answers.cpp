#include "data/answers.h"

#include <algorithm>

#include "data/answer_latex.h"
#include "data/answer_value.h"

namespace foresight {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// The argument of \boxed without braces: the text up to a blank, a dollar sign or the end of the sentence,
/// outside brackets.
std::string_view unbraced(std::string_view text) {
  text = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  int depth = 0;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const char c = text[end];
    if (c == '(' || c == '{' || c == '[') ++depth;
    if (c == ')' || c == '}' || c == ']') --depth;
    const bool blank = kBlank.find(c) != std::string_view::npos;
    if (depth < 0 || c == '$' || c == '\n' || (blank && depth == 0)) break;
    if (c == '\\' && end + 1 < text.size() && !is_letter(text[end + 1])) {
      if (text[end + 1] == ')' || text[end + 1] == ']') break;  // the end of \( \)
      ++end;
    }
  }
  return text.substr(0, end);
}

/// The content of the box whose command ends at `behind`; empty if it never closes.
std::string_view box_content(std::string_view text, std::size_t behind) {
  const std::size_t open = text.find_first_not_of(kBlank, behind);
  if (open == std::string_view::npos) return {};
  if (text[open] == '{') return trimmed(braced(text.substr(0, open + kMaxAnswerBytes), open).first);
  return is_letter(text[behind]) ? std::string_view() : trimmed(unbraced(text.substr(behind)));
}

/// The last box that is not empty.
std::string_view last_box(std::string_view text) {
  for (std::size_t from = text.size(); from != std::string_view::npos;) {
    std::size_t at = std::string_view::npos, length = 0;
    for (const std::string_view command : {"\\boxed", "\\fbox"}) {
      const std::size_t found = text.rfind(command, from);
      if (found == std::string_view::npos || (at != std::string_view::npos && found < at)) continue;
      at = found;
      length = command.size();
    }
    if (at == std::string_view::npos) return {};
    if (const std::string_view content = box_content(text, at + length); !content.empty()) return content;
    if (at == 0) return {};
    from = at - 1;
  }
  return {};
}

/// Removes marks around an answer: bold and code signs, quotes, the end of its sentence, "=".
std::string_view bare(std::string_view text) {
  constexpr std::string_view kAround = "*`\"$ \t\r\n", kBehind = ".,;:";
  for (std::size_t before = text.size() + 1; text.size() < before;) {
    before = text.size();
    while (!text.empty() && kAround.find(text.front()) != std::string_view::npos) text.remove_prefix(1);
    while (!text.empty() && (kAround.find(text.back()) != std::string_view::npos ||
                             kBehind.find(text.back()) != std::string_view::npos))
      text.remove_suffix(1);
  }
  return text;
}

/// Both readings of an answer's commas.
AnswerParts parts_of(std::string_view answer, Commas commas) {
  if (answer.size() > kMaxAnswerBytes)
    return {.variable = "", .value = std::string(answer), .unit = "", .choice = ""};
  const std::string plain = plain_latex(bare(answer));
  std::string_view value = bare(plain);
  for (const std::string_view sign :
       {"The answer is", "the answer is", "=", "\\approx", ":", "USD", "EUR", "GBP"}) {
    if (value.starts_with(sign)) value = bare(value.substr(sign.size()));
  }
  return answer_parts(value, commas);
}

/// "C" beside "(C) 12".
bool is_choice_of(const AnswerParts& letter, const AnswerParts& answer) {
  return letter.choice.empty() && !answer.choice.empty() && letter.value == answer.choice;
}

bool agree(const std::string& one, const std::string& two) {
  return one.empty() || two.empty() || one == two;
}

}  // namespace

std::optional<std::string> final_answer(std::string_view text) {
  constexpr std::string_view kMark = "####";
  if (const std::string_view box = last_box(text); !box.empty()) return std::string(box);
  if (const std::size_t at = text.rfind(kMark); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at + kMark.size());
    return std::string(trimmed(rest.substr(0, rest.find('\n'))));
  }
  return std::nullopt;
}

bool same_answer(std::string_view first, std::string_view second) {
  for (const Commas commas : {Commas::kThousands, Commas::kList}) {
    const AnswerParts one = parts_of(first, commas), two = parts_of(second, commas);
    if (is_choice_of(one, two) || is_choice_of(two, one)) return true;
    if (!one.value.empty() && one.value == two.value && agree(one.unit, two.unit) &&
        agree(one.variable, two.variable) && agree(one.choice, two.choice))
      return true;
  }
  return false;
}

}  // namespace foresight
