#include "trainer/text/jinja_render.h"

#include <list>

#include "trainer/base/text.h"
#include "trainer/text/jinja_functions.h"

namespace foresight::jinja {

namespace {

using Kind = Value::Kind;

constexpr int kDeepestCall = 300;  // of statements and expressions at once, through macros too

enum class Flow { kNext, kBreak, kContinue };

/// Names of a block; loops and macros open one.
struct Scope {
  Dictionary names;
  const Scope* outer;
};

class Renderer {
 public:
  Renderer(Dictionary variables, const std::optional<std::tm>& now, Work& work) : now_(now), work_(work) {
    for (const char* name : {"range", "namespace", "dict", "raise_exception"}) {
      globals_.names.emplace_back(name, Value::function(name));
    }
    if (now) globals_.names.emplace_back("strftime_now", Value::function("strftime_now"));
    top_.names = std::move(variables);
  }

  std::string run(const Block& statements) {
    run_block(statements);
    return std::move(out_);
  }

 private:
  class Depth {
   public:
    explicit Depth(Renderer& renderer) : renderer_(renderer) {
      if (++renderer_.depth_ > kDeepestCall) renderer_.work_.refuse("it calls itself too deeply");
    }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    ~Depth() { --renderer_.depth_; }

   private:
    Renderer& renderer_;
  };

  // Statements.

  Flow run_block(const Block& statements) {
    for (const auto& statement : statements) {
      const Flow flow = run_statement(*statement);
      if (flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

  Flow run_statement(const Statement& statement) {
    const Depth depth(*this);
    work_.at(statement.line);
    work_.spend();
    switch (statement.kind) {
      case StatementKind::kText:
        write(statement.text);
        break;
      case StatementKind::kOutput:
        write(to_text(evaluate(*statement.expression), work_));
        break;
      case StatementKind::kIf:
        return run_if(statement);
      case StatementKind::kFor:
        run_for(statement);
        break;
      case StatementKind::kSet:
        run_set(statement);
        break;
      case StatementKind::kSetBlock:
        assign(statement.names.front(), Value::text(captured(statement.branches.front().body)));
        break;
      case StatementKind::kMacro:
        assign(statement.text, Value::macro(&statement));
        break;
      case StatementKind::kBlock:
        return run_block(statement.branches.front().body);
      case StatementKind::kBreak:
        return Flow::kBreak;
      case StatementKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  void write(const std::string& text) {
    work_.spend(text.size());
    out_ += text;
  }

  std::string captured(const Block& statements) {
    std::string before = std::move(out_);
    out_.clear();
    run_block(statements);
    std::swap(before, out_);
    return before;
  }

  Flow run_if(const Statement& statement) {
    for (const Branch& branch : statement.branches) {
      if (!branch.condition || evaluate(*branch.condition).truth()) return run_block(branch.body);
    }
    return Flow::kNext;
  }

  void run_for(const Statement& statement) {
    List items = items_of(evaluate(*statement.expression), work_);
    Scope scope{{}, scope_};
    Scope* const outer = scope_;
    scope_ = &scope;
    if (statement.condition) {
      List kept;
      for (const Value& item : items) {
        scope.names.clear();
        assign_targets(statement.names, item);
        if (evaluate(*statement.condition).truth()) kept.push_back(item);
      }
      items = std::move(kept);
    }
    for (std::size_t index = 0; index < items.size(); ++index) {
      work_.spend();
      scope.names.clear();  // what one turn sets is gone in the next
      scope.names.emplace_back("loop", loop_value(items, index));
      assign_targets(statement.names, items[index]);
      if (run_block(statement.branches.front().body) == Flow::kBreak) break;
    }
    scope_ = outer;
    if (items.empty() && statement.branches.size() > 1) run_block(statement.branches[1].body);
  }

  Value loop_value(const List& items, std::size_t index) {
    const auto place = static_cast<std::int64_t>(index), count = static_cast<std::int64_t>(items.size());
    return Value::dictionary(
        {{"index", Value::integer(place + 1)},
         {"index0", Value::integer(place)},
         {"revindex", Value::integer(count - place)},
         {"revindex0", Value::integer(count - place - 1)},
         {"first", Value::boolean(index == 0)},
         {"last", Value::boolean(index + 1 == items.size())},
         {"length", Value::integer(count)},
         {"previtem", index > 0 ? items[index - 1] : Value::undefined("loop.previtem")},
         {"nextitem", index + 1 < items.size() ? items[index + 1] : Value::undefined("loop.nextitem")}},
        work_);
  }

  void assign_targets(const std::vector<std::string>& names, const Value& value) {
    if (names.size() == 1) return assign(names.front(), value);
    const List parts = items_of(value, work_);
    if (parts.size() != names.size()) {
      work_.refuse(concat(parts.size(), " values for ", names.size(), " names"));
    }
    for (std::size_t index = 0; index < names.size(); ++index) assign(names[index], parts[index]);
  }

  static void put(Dictionary& names, const std::string& name, const Value& value) {
    for (auto& [known, old] : names) {
      if (known == name) {
        old = value;
        return;
      }
    }
    names.emplace_back(name, value);
  }

  void assign(const std::string& name, const Value& value) { put(scope_->names, name, value); }

  void run_set(const Statement& statement) {
    const Value value = evaluate(*statement.expression);
    if (statement.text.empty()) return assign_targets(statement.names, value);
    const Value target = lookup(statement.text);
    if (!target.is(Kind::kNamespace)) {
      work_.refuse(concat("{% set ", statement.text, ".", statement.names.front(), " %}: ", statement.text,
                          " is ", target.kind_name(), ", expected a namespace"));
    }
    put(target.members(), statement.names.front(), value);
  }

  // Expressions.

  Value lookup(const std::string& name) const {
    for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
      if (const Value* found = find(scope->names, name)) return *found;
    }
    return Value::undefined(name);
  }

  Value evaluate(const Expression& expression) {
    const Depth depth(*this);
    work_.at(expression.line);
    work_.spend();
    const auto operand = [&](std::size_t index) { return evaluate(*expression.operands[index]); };
    switch (expression.kind) {
      case ExpressionKind::kConstant:
        return expression.value;
      case ExpressionKind::kName:
        return lookup(expression.text);
      case ExpressionKind::kList:
      case ExpressionKind::kDictionary:
        return collection(expression);
      case ExpressionKind::kAttribute:
        return attribute(operand(0), expression.text);
      case ExpressionKind::kItem: {
        const Value object = operand(0);
        return item_of(object, operand(1), work_);
      }
      case ExpressionKind::kSlice: {
        const Value object = operand(0), begin = operand(1), end = operand(2);
        return slice_of(object, begin, end, operand(3), work_);
      }
      case ExpressionKind::kCall:
        return call(expression);
      case ExpressionKind::kFilter: {
        const Value input = operand(0);
        return apply_filter(expression.text, input,
                            arguments_of(expression, "the filter " + expression.text));
      }
      case ExpressionKind::kTest: {
        const Value input = operand(0);
        return Value::boolean(
            apply_test(expression.text, input, arguments_of(expression, "the test " + expression.text)));
      }
      default:
        return combined(expression);
    }
  }

  /// Truth, choice, comparison and sums.
  Value combined(const Expression& expression) {
    const Value first = evaluate(*expression.operands[expression.kind == ExpressionKind::kCondition ? 1 : 0]);
    switch (expression.kind) {
      case ExpressionKind::kNot:
        return Value::boolean(!first.truth());
      case ExpressionKind::kNegate:
        return calculate("-", Value::integer(0), first, work_);
      case ExpressionKind::kAnd:
        return first.truth() ? evaluate(*expression.operands[1]) : first;
      case ExpressionKind::kOr:
        return first.truth() ? first : evaluate(*expression.operands[1]);
      case ExpressionKind::kCondition:
        if (first.truth()) return evaluate(*expression.operands[0]);
        if (expression.operands.size() < 3) return Value::undefined("else");
        return evaluate(*expression.operands[2]);
      case ExpressionKind::kCompare:
        return Value::boolean(compared(expression, first));
      default:
        return calculate(expression.text, first, evaluate(*expression.operands[1]), work_);
    }
  }

  bool compared(const Expression& expression, Value left) {
    for (std::size_t index = 0; index < expression.words.size(); ++index) {
      const Value right = evaluate(*expression.operands[index + 1]);
      const std::string& word = expression.words[index];
      bool holds = false;
      if (word == "==" || word == "!=") {
        holds = equal(left, right, work_) == (word == "==");
      } else if (word == "in" || word == "not in") {
        holds = contains(right, left, work_) == (word == "in");
      } else {
        const int order = compare(left, right, work_);
        holds = word == "<" ? order < 0 : word == "<=" ? order <= 0 : word == ">" ? order > 0 : order >= 0;
      }
      if (!holds) return false;
      left = right;
    }
    return true;
  }

  Value collection(const Expression& expression) {
    List items;
    for (const auto& operand : expression.operands) items.push_back(evaluate(*operand));
    if (expression.kind == ExpressionKind::kList) return Value::list(std::move(items), work_);
    Dictionary entries;
    for (std::size_t index = 0; index < items.size(); index += 2) {
      if (!items[index].is(Kind::kText)) work_.refuse("a dictionary's key is not a text");
      work_.spend(entries.size() / 16);
      put(entries, items[index].as_text(), items[index + 1]);
    }
    return Value::dictionary(std::move(entries), work_);
  }

  Value attribute(const Value& object, const std::string& name) {
    if (is_method(object, name)) return Value::function(name);
    return item_of(object, Value::text(name), work_);
  }

  Arguments arguments_of(const Expression& expression, std::string callee) {
    List positional;
    Dictionary named;
    const std::size_t first_named = expression.operands.size() - expression.words.size();
    for (std::size_t index = 1; index < expression.operands.size(); ++index) {
      Value value = evaluate(*expression.operands[index]);
      if (index < first_named) {
        positional.push_back(std::move(value));
      } else {
        named.emplace_back(expression.words[index - first_named], std::move(value));
      }
    }
    return {std::move(callee), std::move(positional), std::move(named), work_};
  }

  Value call(const Expression& expression) {
    const Expression& callee = *expression.operands.front();
    if (callee.kind == ExpressionKind::kAttribute) {
      const Value object = evaluate(*callee.operands.front());
      if (is_method(object, callee.text)) {
        return call_method(object, callee.text, arguments_of(expression, callee.text + "()"));
      }
      return call_value(attribute(object, callee.text), expression, callee.text);
    }
    return call_value(evaluate(callee), expression, callee.text);
  }

  Value call_value(const Value& function, const Expression& expression, const std::string& name) {
    if (function.is(Kind::kMacro)) {
      return call_macro(*function.as_macro(), arguments_of(expression, "the macro " + name));
    }
    if (name == "strftime_now" && !now_) {
      work_.refuse(
          "the function strftime_now() is given no date here, as prompts would change from day to day: set "
          "model.template_date");
    }
    // Only names of globals are functions here: a method that was set aside has lost its object.
    if (!function.is(Kind::kFunction) || find(globals_.names, function.name()) == nullptr) {
      work_.refuse(concat("the function ", one_line(name), "() is not supported"));
    }
    Arguments arguments = arguments_of(expression, function.name() + "()");
    if (function.name() != "namespace") return call_global(function.name(), std::move(arguments), now_);
    if (!arguments.rest(0).empty()) work_.refuse("namespace() of a dictionary is not supported");
    work_.spend(64);
    namespaces_.push_back(arguments.named());
    return Value::name_space(&namespaces_.back());
  }

  Value call_macro(const Statement& macro, Arguments arguments) {
    Scope scope{{}, &top_};
    Scope* const outer = scope_;
    scope_ = &scope;
    const std::size_t without_default = macro.names.size() - macro.defaults.size();
    for (std::size_t index = 0; index < macro.names.size(); ++index) {
      const char* name = macro.names[index].c_str();
      Value value = arguments.optional(index, name, Value::undefined(name));
      if (value.is(Kind::kUndefined) && index >= without_default) {
        value = evaluate(*macro.defaults[index - without_default]);
      }
      assign(name, value);
    }
    arguments.done(macro.names.size());
    Value result = Value::text(captured(macro.branches.front().body));
    scope_ = outer;
    return result;
  }

  const std::optional<std::tm>& now_;
  Work& work_;
  Scope globals_{{}, nullptr}, top_{{}, &globals_};
  Scope* scope_ = &top_;
  std::list<Dictionary> namespaces_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string render(const Block& statements, Dictionary variables, const std::optional<std::tm>& now,
                   Work& work) {
  return Renderer(std::move(variables), now, work).run(statements);
}

}  // namespace foresight::jinja
