// Reads a chat template's statements; declared in jinja_syntax.h.
#include <algorithm>
#include <initializer_list>

#include "trainer/base/text.h"
#include "trainer/text/jinja_expressions.h"
#include "trainer/text/jinja_syntax.h"

namespace foresight::jinja {

namespace {

constexpr int kMaxBlocks = 64;

class TemplateReader {
 public:
  TemplateReader(std::vector<Token> tokens, Work& work) : in_(std::move(tokens), work), work_(work) {}

  Block run() {
    Block whole = block({});
    if (in_.current().kind != TokenKind::kEnd) work_.refuse("the template continues after its end");
    return whole;
  }

 private:
  /// Statements up to {% one of `ends`, whose name is the current token then; up to the end without `ends`.
  Block block(std::initializer_list<std::string_view> ends) {
    if (++nesting_ > kMaxBlocks) work_.refuse(concat("blocks are nested deeper than ", kMaxBlocks));
    const int line = in_.current().line;
    Block statements;
    while (true) {
      const Token token = in_.current();
      if (token.kind == TokenKind::kEnd) {
        if (ends.size() == 0) break;
        work_.at(line);
        work_.refuse(concat("a block is not closed: expected ", join(ends, " or ")));
      }
      in_.advance();
      if (token.kind == TokenKind::kText) {
        statements.push_back(make(StatementKind::kText, token.line));
        statements.back()->text = token.text;
      } else if (token.kind == TokenKind::kOutputBegin) {
        statements.push_back(make(StatementKind::kOutput, token.line));
        statements.back()->expression = in_.expressions();
        expect_end(TokenKind::kOutputEnd);
      } else {
        const bool ended = in_.current().kind == TokenKind::kName &&
                           std::find(ends.begin(), ends.end(), in_.current().text) != ends.end();
        if (ended) break;
        statements.push_back(statement());
      }
    }
    --nesting_;
    return statements;
  }

  static std::unique_ptr<Statement> make(StatementKind kind, int line) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  void expect_end(TokenKind kind) {
    if (in_.current().kind != kind) in_.refuse_current("the end of the tag");
    in_.advance();
  }

  void close_block() { expect_end(TokenKind::kBlockEnd); }

  /// {% endNAME %}, the name being the current token.
  void end_tag() {
    in_.advance();
    close_block();
  }

  std::unique_ptr<Statement> statement() {
    const int line = in_.current().line;
    if (in_.current().kind != TokenKind::kName) in_.refuse_current("a statement");
    const std::string name = in_.current().text;
    in_.advance();
    if (name == "if") return if_statement(line);
    if (name == "for") return for_statement(line);
    if (name == "set") return set_statement(line);
    if (name == "macro") return macro_statement(line);
    if (name == "generation") {
      auto result = make(StatementKind::kBlock, line);
      close_block();
      add_branch(*result, block({"endgeneration"}));
      end_tag();
      return result;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) work_.refuse(concat("{% ", name, " %} is outside a loop"));
      close_block();
      return make(name == "break" ? StatementKind::kBreak : StatementKind::kContinue, line);
    }
    work_.refuse(concat("the statement {% ", one_line(name),
                        " %} is not supported (known: break, continue, for, generation, if, macro, set)"));
  }

  static void add_branch(Statement& statement, Block body) {
    statement.branches.push_back({nullptr, std::move(body)});
  }

  std::unique_ptr<Statement> if_statement(int line) {
    auto result = make(StatementKind::kIf, line);
    ExpressionPointer condition = in_.expressions();
    while (true) {
      close_block();
      Block body = condition ? block({"elif", "else", "endif"}) : block({"endif"});
      result->branches.push_back({std::move(condition), std::move(body)});
      if (in_.at_name("endif")) break;
      const bool last = in_.at_name("else");
      in_.advance();
      condition = last ? nullptr : in_.expressions();
    }
    end_tag();
    return result;
  }

  /// NAME or NAME, NAME, in brackets or not.
  std::vector<std::string> targets() {
    const bool bracket = in_.skip_sign("(");
    std::vector<std::string> names = {in_.expect_name()};
    while (in_.skip_sign(",")) names.push_back(in_.expect_name());
    if (bracket) in_.expect_sign(")");
    return names;
  }

  std::unique_ptr<Statement> for_statement(int line) {
    auto result = make(StatementKind::kFor, line);
    result->names = targets();
    if (!in_.skip_name("in")) in_.refuse_current("\"in\"");
    result->expression = in_.expressions(/*condition=*/false);
    if (in_.skip_name("if")) result->condition = in_.expression();
    if (in_.at_name("recursive")) work_.refuse("a recursive loop is not supported");
    close_block();
    ++loops_;
    add_branch(*result, block({"else", "endfor"}));
    --loops_;
    if (in_.skip_name("else")) {
      close_block();
      add_branch(*result, block({"endfor"}));
    }
    end_tag();
    return result;
  }

  std::unique_ptr<Statement> set_statement(int line) {
    auto result = make(StatementKind::kSet, line);
    result->names = targets();
    if (result->names.size() == 1 && in_.skip_sign(".")) {
      result->text = result->names.front();
      result->names = {in_.expect_name()};
    }
    if (in_.skip_sign("=")) {
      result->expression = in_.expressions();
      close_block();
      return result;
    }
    if (result->names.size() != 1 || !result->text.empty() || in_.current().kind != TokenKind::kBlockEnd) {
      in_.refuse_current("\"=\"");
    }
    result->kind = StatementKind::kSetBlock;
    close_block();
    add_branch(*result, block({"endset"}));
    end_tag();
    return result;
  }

  std::unique_ptr<Statement> macro_statement(int line) {
    auto result = make(StatementKind::kMacro, line);
    result->text = in_.expect_name();
    in_.expect_sign("(");
    while (!in_.at_sign(")")) {
      result->names.push_back(in_.expect_name());
      if (in_.skip_sign("=")) {
        result->defaults.push_back(in_.expression());
      } else if (!result->defaults.empty()) {
        work_.refuse("a macro's parameter without default follows one with a default");
      }
      if (!in_.skip_sign(",")) break;
    }
    in_.expect_sign(")");
    close_block();
    const int loops = loops_;
    loops_ = 0;
    add_branch(*result, block({"endmacro"}));
    loops_ = loops;
    end_tag();
    return result;
  }

  ExpressionReader in_;
  Work& work_;
  int nesting_ = 0, loops_ = 0;
};

}  // namespace

Block parse_template(const std::string& source, Work& work) {
  return TemplateReader(tokenize(source, work), work).run();
}

}  // namespace foresight::jinja
