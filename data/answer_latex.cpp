#include "data/answer_latex.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "data/answer_unicode.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

using Names = std::set<std::string, std::less<>>;

constexpr int kDeepest = 32;

/// Commands that only change how something looks.
const Names& commands_of_style() {
  static const Names names = {
      "left",      "right",       "big",        "Big",          "bigg",     "Bigg",       "bigl",
      "bigr",      "Bigl",        "Bigr",       "biggl",        "biggr",    "middle",     "displaystyle",
      "textstyle", "scriptstyle", "limits",     "nolimits",     "rm",       "bf",         "it",
      "sf",        "tt",          "mathstrut",  "boxed",        "fbox",     "ensuremath", "pounds",
      "euro",      "yen",         "textdollar", "textsterling", "texteuro", "dollar"};
  return names;
}

const Names& commands_of_space() {
  static const Names names = {"quad",     "qquad", "enspace",      "thinspace",
                              "medspace", "space", "nobreakspace", "newline"};
  return names;
}

/// Commands whose argument is words, or letters in another face.
const Names& commands_of_text() {
  static const Names names = {"text",       "textbf", "textit",    "textrm",     "textsf",       "texttt",
                              "textnormal", "textup", "mbox",      "hbox",       "mathrm",       "mathbf",
                              "mathit",     "mathsf", "mathtt",    "mathnormal", "operatorname", "emph",
                              "boldsymbol", "bm",     "underline", "unit"};
  return names;
}

/// Commands and signs with several spellings, and the one that is kept.
const std::map<std::string, std::string, std::less<>>& spellings() {
  static const std::map<std::string, std::string, std::less<>> names = {
      {"leq", "\\le"},     {"leqslant", "\\le"},
      {"geq", "\\ge"},     {"geqslant", "\\ge"},
      {"neq", "\\ne"},     {"cdot", "*"},
      {"times", "*"},      {"ast", "*"},
      {"div", "/"},        {"lbrace", "\\{"},
      {"rbrace", "\\}"},   {"lbrack", "["},
      {"rbrack", "]"},     {"colon", ":"},
      {"dots", "..."},     {"ldots", "..."},
      {"cdots", "..."},    {"lt", "<"},
      {"gt", ">"},         {"percent", "%"},
      {"degree", "\x03"},  {"textdegree", "\x03"},
      {"degrees", "\x03"}, {"lparen", "("},
      {"rparen", ")"},     {"varnothing", "\\emptyset"},
      {"varphi", "\\phi"}, {"vert", "|"},
      {"lvert", "|"},      {"rvert", "|"},
      {"to", "\\to"},      {"rightarrow", "\\to"},
      {"bigcup", "\\cup"}, {"bigcap", "\\cap"}};
  return names;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_atom(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return is_letter(c) || is_digit(c) || c == '.'; });
}

/// The numerator of a fraction needs parentheses if it is a sum, but not if it is a product.
bool is_product(std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '{' || text[i] == '[') ++depth;
    if (text[i] == ')' || text[i] == '}' || text[i] == ']') --depth;
    if (depth == 0 && i > 0 && (text[i] == '+' || text[i] == '-')) return false;
  }
  return !text.empty();
}

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

/// Environments that are one matrix, whatever brackets they draw; a determinant is another thing.
bool is_matrix(std::string_view environment) {
  static const Names names = {"matrix",      "pmatrix",      "bmatrix",      "Bmatrix",
                              "smallmatrix", "psmallmatrix", "bsmallmatrix", "array"};
  return names.contains(environment);
}

/// "th" of "5^{\text{th}}".
bool is_ordinal(std::string_view text) {
  if (text.size() != 4 || text.front() != kTextBegins || text.back() != kTextEnds) return false;
  const std::string_view letters = text.substr(1, 2);
  return letters == "th" || letters == "st" || letters == "nd" || letters == "rd";
}

/// Reads LaTeX from left to right and writes the one spelling.
class Rewriter {
 public:
  explicit Rewriter(std::string_view text) : text_(text) {}

  std::string all() { return until('\0', 0); }

 private:
  bool ended() const { return at_ >= text_.size(); }
  char peek() const { return ended() ? '\0' : text_[at_]; }
  void skip_spaces() {
    while (peek() == ' ') ++at_;
  }

  /// Reads up to and including `close`.
  std::string until(char close, int depth) {
    std::string out;
    while (!ended()) {
      const char c = text_[at_];
      if (c == close) {
        ++at_;
        break;
      }
      if (c == '\\') {
        command(out, depth);
      } else if (c == '^' || c == '_') {
        ++at_;
        script(out, c, depth);
      } else if (c == '{' && depth < kDeepest) {
        ++at_;
        const std::string inner = until('}', depth + 1);
        out += inner == "," ? std::string(1, kDigitSeparator) : inner;
      } else {
        ++at_;
        if (c == '~') {
          out += ' ';
        } else if (c == '&' && matrices_ > 0) {
          out += ',';
        } else if (c != '{' && c != '}' && c != '$') {
          out += c;
        }
      }
    }
    return out;
  }

  /// A group in braces, a command, a run of letters of one, or one character.
  std::string argument(int depth) {
    skip_spaces();
    if (ended() || depth >= kDeepest) return "";
    std::string out;
    if (peek() == '{') {
      ++at_;
      return until('}', depth + 1);
    }
    if (peek() == '\\') {
      command(out, depth + 1);
      return out;
    }
    return {text_[at_++]};
  }

  void script(std::string& out, char sign, int depth) {
    const std::string inner = without_spaces(argument(depth));
    if (sign == '^' && (inner == "\\circ" || inner == "o" || inner == std::string(1, kDegree))) {
      out += kDegree;
    } else if (sign == '^' && is_ordinal(inner)) {
      out += inner;
    } else {
      out += sign;
      out += inner.size() <= 1 ? inner : "{" + inner + "}";
    }
    const std::size_t next = std::min(text_.find_first_not_of(' ', at_), text_.size());
    if (sign == '_' && next < text_.size() && is_digit(text_[next])) at_ = next;  // "\log_2 3"
  }

  /// A matrix is written as its rows, "\matrix[[1,2],[3,4]]".
  void environment(std::string& out, std::string_view command, int depth) {
    const std::string name = argument(depth);
    if (!is_matrix(name)) {
      out += concat("\\", command, name);
    } else if (command == "begin") {
      ++matrices_;
      if (name == "array" && peek() == '{') argument(depth);  // its columns
      out += "\\matrix[[";
    } else if (matrices_ > 0) {
      --matrices_;
      while (out.ends_with(' ')) out.pop_back();
      if (out.ends_with("],[")) out.resize(out.size() - 3);  // a row's end behind the last one
      out += "]]";
    }
  }

  /// The end of a matrix's row, with the space that may be asked for behind it.
  void end_row(std::string& out) {
    const std::size_t close = peek() == '[' ? text_.find(']', at_) : std::string_view::npos;
    if (close != std::string_view::npos) at_ = close + 1;
    out += "],[";
  }

  void command(std::string& out, int depth) {
    ++at_;
    if (ended()) return;
    if (!is_letter(peek())) return sign_command(out);
    const std::size_t begin = at_;
    while (!ended() && is_letter(text_[at_])) ++at_;
    const std::string_view name = text_.substr(begin, at_ - begin);
    if (name == "frac" || name == "dfrac" || name == "tfrac" || name == "cfrac") {
      fraction(out, depth);
    } else if (name == "sqrt") {
      root(out, depth);
    } else if (name == "overline") {
      const std::string inner = without_spaces(argument(depth));
      out += all_digits(inner) ? concat("\\overline{", inner, "}") : inner;  // the period of a decimal
    } else if (name == "begin" || name == "end") {
      environment(out, name, depth);
    } else if (name == "hspace" || name == "phantom" || name == "hphantom" || name == "vspace") {
      argument(depth);
      out += ' ';
    } else if (commands_of_style().contains(name)) {
      if ((name == "left" || name == "right") && peek() == '.') ++at_;
    } else if (commands_of_space().contains(name)) {
      out += ' ';
    } else if (commands_of_text().contains(name)) {
      text_argument(out, depth);
    } else if (const auto found = spellings().find(name); found != spellings().end()) {
      out += found->second;
    } else {
      out += '\\';
      out += name;
    }
  }

  void sign_command(std::string& out) {
    const char c = text_[at_++];
    if (c == '!') {
      if (!out.empty() && out.back() == ',' && is_digit(peek())) out.back() = kDigitSeparator;
    } else if (c == '\\' && matrices_ > 0) {
      end_row(out);
    } else if (c == '{' || c == '}') {
      out += {'\\', c};
    } else if (c == '%' || c == '#' || c == '&' || c == '_') {
      out += c;
    } else if (c != '$' && c != '(' && c != ')' && c != '[' && c != ']') {
      out += ' ';  // \, \; \: \\ and the like
    }
  }

  void fraction(std::string& out, int depth) {
    const std::string over = without_spaces(argument(depth)), under = without_spaces(argument(depth));
    const bool mixed = !out.empty() && is_digit(out.back()) && all_digits(over) && all_digits(under);
    if (mixed) out += ' ';
    out += is_product(over) ? over : "(" + over + ")";
    out += '/';
    out += is_atom(under) ? under : "(" + under + ")";
  }

  void root(std::string& out, int depth) {
    std::string degree;
    skip_spaces();
    if (peek() == '[') {
      ++at_;
      degree = without_spaces(until(']', depth + 1));
    }
    std::string inner = without_spaces(argument(depth));
    if (inner == "(") inner = without_spaces(until(')', depth + 1));
    out += "\\sqrt";
    if (!degree.empty() && degree != "2") out += "[" + degree + "]";
    out += "{" + inner + "}";
  }

  /// Text in another face that begins as a number is a number.
  void text_argument(std::string& out, int depth) {
    const std::string inner = argument(depth);
    const bool number = !inner.empty() && is_digit(inner[0]);
    if (number || std::none_of(inner.begin(), inner.end(), is_letter)) {
      out += inner;
      return;
    }
    out += kTextBegins;
    for (const char c : inner) {
      if (c != kTextBegins && c != kTextEnds) out += c;
    }
    out += kTextEnds;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int matrices_ = 0;  // that are open
};

}  // namespace

std::string plain_latex(std::string_view answer) {
  return Rewriter(in_ascii(answer)).all();
}

std::pair<std::string_view, std::size_t> braced(std::string_view text, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return {text.substr(open + 1, i - open - 1), i + 1};
    }
  }
  return {{}, std::string_view::npos};
}

}  // namespace foresight
