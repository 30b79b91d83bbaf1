#include "trainer/text/jinja_expressions.h"

#include <algorithm>
#include <charconv>

#include "trainer/base/text.h"

namespace foresight::jinja {

namespace {

constexpr int kMaxNesting = 64;
constexpr int kMaxTree = 200;

/// Whether a word may be the name of a variable.
bool is_keyword(const std::string& word) {
  constexpr std::string_view kKeywords[] = {"and", "or", "not", "in", "is", "if", "else", "elif"};
  return std::find(std::begin(kKeywords), std::end(kKeywords), word) != std::end(kKeywords);
}

}  // namespace

class ExpressionReader::Nesting {
 public:
  explicit Nesting(ExpressionReader& reader) : reader_(reader) {
    if (++reader_.nesting_ > kMaxNesting) {
      reader_.work_.refuse(concat("an expression is nested deeper than ", kMaxNesting));
    }
  }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { --reader_.nesting_; }

 private:
  ExpressionReader& reader_;
};

void ExpressionReader::advance() {
  if (current().kind != TokenKind::kEnd) ++at_;
  work_.at(current().line);
}

bool ExpressionReader::skip_sign(std::string_view sign) {
  if (!at_sign(sign)) return false;
  advance();
  return true;
}

bool ExpressionReader::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  advance();
  return true;
}

void ExpressionReader::expect_sign(std::string_view sign) {
  if (!skip_sign(sign)) refuse_current(concat("\"", sign, "\""));
}

std::string ExpressionReader::expect_name() {
  if (current().kind != TokenKind::kName || is_keyword(current().text)) refuse_current("a name");
  std::string name = current().text;
  advance();
  return name;
}

void ExpressionReader::refuse_current(const std::string& expected) const {
  const bool shown = current().kind == TokenKind::kName || current().kind == TokenKind::kSign ||
                     current().kind == TokenKind::kInteger;
  const char* other = current().kind == TokenKind::kString ? "a string" : "the end of the tag";
  work_.refuse(
      concat("expected ", expected, ", got ", shown ? concat("\"", one_line(current().text), "\"") : other));
}

ExpressionPointer ExpressionReader::make(ExpressionKind kind, std::string text) const {
  return std::make_unique<Expression>(Expression{kind, current().line, std::move(text)});
}

void ExpressionReader::adopt(Expression& parent, ExpressionPointer operand) const {
  parent.depth = std::max(parent.depth, operand->depth + 1);
  if (parent.depth > kMaxTree) work_.refuse(concat("an expression has more than ", kMaxTree, " steps"));
  parent.operands.push_back(std::move(operand));
}

ExpressionPointer ExpressionReader::expression(bool condition) {
  const Nesting nesting(*this);
  ExpressionPointer value = either();
  while (condition && skip_name("if")) {
    ExpressionPointer choice = make(ExpressionKind::kCondition);
    adopt(*choice, std::move(value));
    adopt(*choice, either());
    if (skip_name("else")) adopt(*choice, expression());
    value = std::move(choice);
  }
  return value;
}

ExpressionPointer ExpressionReader::expressions(bool condition) {
  ExpressionPointer first = expression(condition);
  if (!at_sign(",")) return first;
  ExpressionPointer list = make(ExpressionKind::kList);
  adopt(*list, std::move(first));
  while (skip_sign(",")) {
    const TokenKind kind = current().kind;
    if (kind == TokenKind::kBlockEnd || kind == TokenKind::kOutputEnd || at_sign(")")) break;
    adopt(*list, expression(condition));
  }
  return list;
}

ExpressionPointer ExpressionReader::joined(std::string_view word, ExpressionKind kind, Operand operand) {
  ExpressionPointer left = (this->*operand)();
  while (skip_name(word)) {
    ExpressionPointer whole = make(kind);
    adopt(*whole, std::move(left));
    adopt(*whole, (this->*operand)());
    left = std::move(whole);
  }
  return left;
}

ExpressionPointer ExpressionReader::either() {
  return joined("or", ExpressionKind::kOr, &ExpressionReader::both);
}

ExpressionPointer ExpressionReader::both() {
  return joined("and", ExpressionKind::kAnd, &ExpressionReader::negation);
}

ExpressionPointer ExpressionReader::negation() {
  if (!skip_name("not")) return comparison();
  const Nesting nesting(*this);
  ExpressionPointer whole = make(ExpressionKind::kNot);
  adopt(*whole, negation());
  return whole;
}

ExpressionPointer ExpressionReader::comparison() {
  ExpressionPointer left = sum(0);
  ExpressionPointer whole = make(ExpressionKind::kCompare);
  adopt(*whole, std::move(left));
  while (true) {
    std::string word = current().text;
    const bool sign = current().kind == TokenKind::kSign && (word == "==" || word == "!=" || word == "<" ||
                                                             word == "<=" || word == ">" || word == ">=");
    const bool behind_not =
        at_name("not") && tokens_[at_ + 1].kind == TokenKind::kName && tokens_[at_ + 1].text == "in";
    if (!sign && !behind_not && !at_name("in")) break;
    advance();
    if (behind_not) {
      advance();
      word = "not in";
    }
    whole->words.push_back(word);
    adopt(*whole, sum(0));
  }
  return whole->words.empty() ? std::move(whole->operands.front()) : std::move(whole);
}

/// Level 0: + and -; level 1: ~; level 2: *, /, // and %.
ExpressionPointer ExpressionReader::sum(int level) {
  if (level == 3) return unary(true);
  constexpr std::string_view kSigns[3][4] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}};
  ExpressionPointer left = sum(level + 1);
  while (current().kind == TokenKind::kSign) {
    const auto& signs = kSigns[level];
    const std::string sign = current().text;
    if (sign == "**") work_.refuse("** is not supported");
    if (std::find(std::begin(signs), std::end(signs), sign) == std::end(signs)) break;
    if (sign == "/") work_.refuse("/ is not supported, as it makes numbers with a decimal point");
    advance();
    ExpressionPointer whole = make(ExpressionKind::kCalculate, sign);
    adopt(*whole, std::move(left));
    adopt(*whole, sum(level + 1));
    left = std::move(whole);
  }
  return left;
}

ExpressionPointer ExpressionReader::unary(bool filters) {
  const Nesting nesting(*this);
  ExpressionPointer value;
  if (at_sign("-") || at_sign("+")) {
    const bool negative = at_sign("-");
    advance();
    value = unary(false);
    if (negative) {
      ExpressionPointer whole = make(ExpressionKind::kNegate);
      adopt(*whole, std::move(value));
      value = std::move(whole);
    }
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return filters ? filters_and_tests(std::move(value)) : std::move(value);
}

ExpressionPointer ExpressionReader::primary() {
  const Token token = current();
  if (token.kind == TokenKind::kString) {
    std::string text;
    for (; current().kind == TokenKind::kString; advance()) text += current().text;
    ExpressionPointer constant = make(ExpressionKind::kConstant);
    constant->value = Value::text(text);
    return constant;
  }
  if (token.kind == TokenKind::kInteger) {
    std::int64_t number = 0;
    const char* end = token.text.data() + token.text.size();
    if (std::from_chars(token.text.data(), end, number).ec != std::errc())
      work_.refuse("a number is too large");
    advance();
    ExpressionPointer constant = make(ExpressionKind::kConstant);
    constant->value = Value::integer(number);
    return constant;
  }
  if (skip_sign("(")) {
    ExpressionPointer inner = at_sign(")") ? make(ExpressionKind::kList) : expressions();
    expect_sign(")");
    return inner;
  }
  if (skip_sign("[")) return list_until("]");
  if (skip_sign("{")) return dictionary();
  const std::string name = expect_name();
  const bool truth = name == "true" || name == "True";
  if (truth || name == "false" || name == "False" || name == "none" || name == "None") {
    ExpressionPointer constant = make(ExpressionKind::kConstant);
    if (name != "none" && name != "None") constant->value = Value::boolean(truth);
    return constant;
  }
  return make(ExpressionKind::kName, name);
}

ExpressionPointer ExpressionReader::list_until(std::string_view close) {
  ExpressionPointer list = make(ExpressionKind::kList);
  while (!at_sign(close)) {
    adopt(*list, expression());
    if (!skip_sign(",")) break;
  }
  expect_sign(close);
  return list;
}

ExpressionPointer ExpressionReader::dictionary() {
  ExpressionPointer whole = make(ExpressionKind::kDictionary);
  while (!at_sign("}")) {
    adopt(*whole, expression());
    expect_sign(":");
    adopt(*whole, expression());
    if (!skip_sign(",")) break;
  }
  expect_sign("}");
  return whole;
}

ExpressionPointer ExpressionReader::postfix(ExpressionPointer object) {
  while (true) {
    if (skip_sign(".")) {
      if (current().kind == TokenKind::kInteger) work_.refuse("\".\" before a number is not supported");
      ExpressionPointer whole = make(ExpressionKind::kAttribute, current().text);
      if (current().kind != TokenKind::kName) refuse_current("a name behind \".\"");
      advance();
      adopt(*whole, std::move(object));
      object = std::move(whole);
    } else if (skip_sign("[")) {
      object = part(std::move(object));
    } else if (skip_sign("(")) {
      ExpressionPointer call = make(ExpressionKind::kCall);
      adopt(*call, std::move(object));
      arguments(*call);
      object = std::move(call);
    } else {
      return object;
    }
  }
}

/// What stands in [...], and the bracket that closes.
ExpressionPointer ExpressionReader::part(ExpressionPointer object) {
  std::vector<ExpressionPointer> bounds;
  bool slice = false;
  while (!at_sign("]")) {
    if (at_sign(":")) {
      if (bounds.empty()) bounds.push_back(make(ExpressionKind::kConstant));
      advance();
      slice = true;
      const bool left_out = at_sign(":") || at_sign("]");
      bounds.push_back(left_out ? make(ExpressionKind::kConstant) : expression());
      if (bounds.size() > 3) work_.refuse("a slice has more than three parts");
    } else if (bounds.empty()) {
      bounds.push_back(expression());
    } else {
      refuse_current("\"]\"");
    }
  }
  if (bounds.empty()) refuse_current("an index");
  advance();
  ExpressionPointer whole = make(slice ? ExpressionKind::kSlice : ExpressionKind::kItem);
  adopt(*whole, std::move(object));
  while (slice && bounds.size() < 3) bounds.push_back(make(ExpressionKind::kConstant));
  for (ExpressionPointer& bound : bounds) adopt(*whole, std::move(bound));
  return whole;
}

/// What stands in (...) behind a function, filter or test, and the bracket that closes.
void ExpressionReader::arguments(Expression& call) {
  while (!at_sign(")")) {
    if (at_sign("*") || at_sign("**")) work_.refuse("* in a call is not supported");
    const bool keyword = current().kind == TokenKind::kName && tokens_[at_ + 1].kind == TokenKind::kSign &&
                         tokens_[at_ + 1].text == "=";
    if (keyword) {
      call.words.push_back(current().text);
      advance();
      advance();
    } else if (!call.words.empty()) {
      work_.refuse("an argument without a name follows one with a name");
    }
    adopt(call, expression());
    if (!skip_sign(",")) break;
  }
  expect_sign(")");
}

std::string ExpressionReader::dotted_name() {
  std::string name = expect_name();
  while (skip_sign(".")) name += "." + expect_name();
  return name;
}

ExpressionPointer ExpressionReader::filters_and_tests(ExpressionPointer object) {
  while (true) {
    if (skip_sign("|")) {
      ExpressionPointer whole = make(ExpressionKind::kFilter);
      whole->text = dotted_name();
      adopt(*whole, std::move(object));
      if (skip_sign("(")) arguments(*whole);
      object = std::move(whole);
    } else if (skip_name("is")) {
      object = test(std::move(object));
    } else if (skip_sign("(")) {
      ExpressionPointer call = make(ExpressionKind::kCall);
      adopt(*call, std::move(object));
      arguments(*call);
      object = std::move(call);
    } else {
      return object;
    }
  }
}

bool ExpressionReader::starts_test_argument() const {
  const Token& token = current();
  if (token.kind == TokenKind::kString || token.kind == TokenKind::kInteger) return true;
  if (token.kind == TokenKind::kSign) return token.text == "[" || token.text == "{";
  return token.kind == TokenKind::kName && !is_keyword(token.text);
}

ExpressionPointer ExpressionReader::test(ExpressionPointer object) {
  const bool negated = skip_name("not");
  ExpressionPointer whole = make(ExpressionKind::kTest);
  whole->text = at_name("in") ? "in" : "";
  if (whole->text.empty()) {
    whole->text = dotted_name();
  } else {
    advance();
  }
  adopt(*whole, std::move(object));
  if (skip_sign("(")) {
    arguments(*whole);
  } else if (starts_test_argument()) {
    adopt(*whole, postfix(primary()));
  }
  if (!negated) return whole;
  ExpressionPointer inverse = make(ExpressionKind::kNot);
  adopt(*inverse, std::move(whole));
  return inverse;
}

}  // namespace foresight::jinja
