// Reads the expressions of a chat template: Jinja's grammar without its powers and floating-point numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer/text/jinja_lexer.h"
#include "trainer/text/jinja_syntax.h"

namespace foresight::jinja {

/// Walks the tokens of a template. Each function reads what it is named after from the current token on.
class ExpressionReader {
 public:
  ExpressionReader(std::vector<Token> tokens, Work& work) : tokens_(std::move(tokens)), work_(work) {}

  const Token& current() const { return tokens_[at_]; }
  void advance();
  bool at_sign(std::string_view sign) const {
    return current().kind == TokenKind::kSign && current().text == sign;
  }
  bool at_name(std::string_view name) const {
    return current().kind == TokenKind::kName && current().text == name;
  }
  /// Steps over the sign or the name where it is there.
  bool skip_sign(std::string_view sign);
  bool skip_name(std::string_view name);
  void expect_sign(std::string_view sign);
  std::string expect_name();
  [[noreturn]] void refuse_current(const std::string& expected) const;
  Work& work() { return work_; }

  /// Any expression; without `condition`, "a if b else c" is none.
  ExpressionPointer expression(bool condition = true);
  /// The same, or several with commas between, which make a list.
  ExpressionPointer expressions(bool condition = true);

 private:
  class Nesting;  // counts brackets in brackets

  ExpressionPointer make(ExpressionKind kind, std::string text = {}) const;
  void adopt(Expression& parent, ExpressionPointer operand) const;
  using Operand = ExpressionPointer (ExpressionReader::*)();
  /// Operands with `word` between them, from the left.
  ExpressionPointer joined(std::string_view word, ExpressionKind kind, Operand operand);
  ExpressionPointer either();
  ExpressionPointer both();
  ExpressionPointer negation();
  ExpressionPointer comparison();
  ExpressionPointer sum(int level);
  ExpressionPointer unary(bool filters);
  ExpressionPointer primary();
  ExpressionPointer list_until(std::string_view close);
  ExpressionPointer dictionary();
  ExpressionPointer postfix(ExpressionPointer object);
  ExpressionPointer part(ExpressionPointer object);
  ExpressionPointer filters_and_tests(ExpressionPointer object);
  ExpressionPointer test(ExpressionPointer object);
  void arguments(Expression& call);
  std::string dotted_name();
  bool starts_test_argument() const;

  std::vector<Token> tokens_;
  Work& work_;
  std::size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace foresight::jinja
