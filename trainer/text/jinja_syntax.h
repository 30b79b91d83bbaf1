// A chat template's statements and expressions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/text/jinja_value.h"

namespace foresight::jinja {

enum class ExpressionKind {
  kConstant,    // value
  kName,        // text
  kList,        // operands
  kDictionary,  // operands: key, value, key, value
  kAttribute,   // operands[0] . text
  kItem,        // operands[0] [ operands[1] ]
  kSlice,       // operands[0] [ operands[1] : operands[2] : operands[3] ], none where left out
  kCall,        // operands[0] ( the rest; the last ones by keyword )
  kFilter,      // operands[0] | text ( the rest )
  kTest,        // operands[0] is text ( the rest )
  kNot,         // operands[0]
  kNegate,
  kAnd,
  kOr,
  kCondition,  // operands[0] if operands[1] else operands[2], which may be left out
  kCompare,    // operands[0] words[0] operands[1] words[1] operands[2] ...
  kCalculate,  // operands[0] text operands[1]
};

struct Expression {
  ExpressionKind kind;
  int line = 0;
  std::string text;
  Value value = {};
  std::vector<std::unique_ptr<Expression>> operands = {};
  std::vector<std::string> words = {};  // of calls, filters and tests: the keywords of the last operands
  int depth = 1;                        // of the tree: it is walked by recursion
};
using ExpressionPointer = std::unique_ptr<Expression>;

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

enum class StatementKind {
  kText,      // text
  kOutput,    // expression
  kIf,        // branches
  kFor,       // names in expression if condition: branches[0], else branches[1]
  kSet,       // names (or text . names[0] of a namespace) = expression
  kSetBlock,  // names[0] = branches[0]
  kMacro,     // text ( names, the last ones with defaults ): branches[0]
  kBlock,     // branches[0] as it stands ({% generation %})
  kBreak,
  kContinue,
};

/// A part of a statement that holds others; `condition` of if and elif.
struct Branch {
  ExpressionPointer condition;
  Block body;
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  std::string text = {};
  std::vector<std::string> names = {};
  ExpressionPointer expression = {}, condition = {};
  std::vector<ExpressionPointer> defaults = {};
  std::vector<Branch> branches = {};
};

/// Reads a template. Refuses, by name, statements and forms that are not supported.
Block parse_template(const std::string& source, Work& work);

}  // namespace foresight::jinja
