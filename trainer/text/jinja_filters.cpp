// Filters and tests; declared in jinja_functions.h.
#include <algorithm>
#include <map>

#include "trainer/base/text.h"
#include "trainer/text/jinja_functions.h"
#include "trainer/text/python_text.h"

namespace foresight::jinja {

namespace {

using Kind = Value::Kind;
using Filter = Value (*)(const Value& input, Arguments& arguments);

std::string text_input(const Value& input, Arguments& arguments) {
  return to_text(input, arguments.work());
}

Value pairs_of(const Value& input, Arguments& arguments) {
  arguments.done(0);
  List pairs;
  if (input.is(Kind::kUndefined)) return Value::list({}, arguments.work());
  if (!input.is(Kind::kDictionary))
    arguments.work().refuse(concat(arguments.callee(), " of ", input.kind_name()));
  for (const auto& [key, value] : input.as_dictionary()) {
    pairs.push_back(Value::list({Value::text(key), value}, arguments.work()));
  }
  return Value::list(std::move(pairs), arguments.work());
}

Value length_of(const Value& input, Arguments& arguments) {
  arguments.done(0);
  if (input.is(Kind::kText)) return Value::integer(python::length(input.as_text()));
  if (input.is(Kind::kList)) return Value::integer(static_cast<std::int64_t>(input.as_list().size()));
  if (input.is(Kind::kDictionary))
    return Value::integer(static_cast<std::int64_t>(input.as_dictionary().size()));
  if (input.is(Kind::kUndefined)) return Value::integer(0);
  arguments.work().refuse(concat(arguments.callee(), " of ", input.kind_name(), " is not supported"));
}

Value trimmed(const Value& input, Arguments& arguments) {
  const std::string text = text_input(input, arguments);
  const Value chosen = arguments.optional(0, "chars", Value());
  arguments.done(1);
  if (chosen.is(Kind::kNone)) return Value::text(python::strip(text, true, true));
  return Value::text(python::strip(text, true, true, text_input(chosen, arguments)));
}

Value with_default(const Value& input, Arguments& arguments) {
  const Value otherwise = arguments.optional(0, "default_value", Value::text(""));
  const bool falsy_too = arguments.optional(1, "boolean", Value::boolean(false)).truth();
  arguments.done(2);
  return input.is(Kind::kUndefined) || (falsy_too && !input.truth()) ? otherwise : input;
}

Value joined(const Value& input, Arguments& arguments) {
  const std::string between = text_input(arguments.optional(0, "d", Value::text("")), arguments);
  const Value attribute = arguments.optional(1, "attribute", Value());
  arguments.done(2);
  std::string text;
  bool first = true;
  for (const Value& item : items_of(input, arguments.work())) {
    arguments.work().spend(between.size());
    if (!first) text += between;
    first = false;
    text += to_text(attribute.is(Kind::kNone) ? item : item_of(item, attribute, arguments.work()),
                    arguments.work());
  }
  return Value::text(text);
}

Value end_item(const Value& input, Arguments& arguments, bool last) {
  arguments.done(0);
  const List items = items_of(input, arguments.work());
  if (items.empty()) return Value::undefined(last ? "last item" : "first item");
  return last ? items.back() : items.front();
}

Value replaced(const Value& input, Arguments& arguments) {
  const std::string text = text_input(input, arguments);
  const std::string from = arguments.required_text(0, "old"), to = arguments.required_text(1, "new");
  const std::int64_t most = arguments.optional_integer(2, "count", -1);
  arguments.done(3);
  arguments.work().spend(text.size() + (text.size() + 1) * to.size() / std::max<std::size_t>(1, from.size()));
  return Value::text(python::replace(text, from, to, most));
}

Value reversed(const Value& input, Arguments& arguments) {
  arguments.done(0);
  List items = items_of(input, arguments.work());
  std::reverse(items.begin(), items.end());
  if (!input.is(Kind::kText)) return Value::list(std::move(items), arguments.work());
  std::string text;
  for (const Value& item : items) text += item.as_text();
  return Value::text(text);
}

Value as_json(const Value& input, Arguments& arguments) {
  constexpr std::int64_t kMaxIndent = 16;
  const Value indent = arguments.optional(1, "indent", Value());
  const bool known = indent.is(Kind::kNone) || (indent.is(Kind::kInteger) && indent.as_integer() >= 0 &&
                                                indent.as_integer() <= kMaxIndent);
  if (!known || arguments.optional(0, "ensure_ascii", Value::boolean(false)).truth() ||
      !arguments.optional(2, "separators", Value()).is(Kind::kNone) ||
      arguments.optional(3, "sort_keys", Value::boolean(false)).truth()) {
    arguments.work().refuse(
        "the filter tojson with settings other than an indent of 0 to 16 is not supported");
  }
  arguments.done(4);
  if (indent.is(Kind::kNone)) return Value::text(to_json(input, arguments.work()));
  return Value::text(to_json(input, arguments.work(), static_cast<std::size_t>(indent.as_integer())));
}

/// Items that pass a test (of their attribute with `by_attribute`), or that fail it. As in Jinja, a false
/// input (none, 0, "") has no items.
Value chosen(const Value& input, Arguments& arguments, bool by_attribute, bool wanted) {
  if (!input.truth()) return Value::list({}, arguments.work());
  const std::size_t test_place = by_attribute ? 1 : 0;
  const Value attribute = by_attribute ? arguments.required(0, "attribute") : Value();
  const Value test = arguments.optional(test_place, "test", Value());
  List kept;
  for (const Value& item : items_of(input, arguments.work())) {
    const Value value = by_attribute ? item_of(item, attribute, arguments.work()) : item;
    const bool passes = test.is(Kind::kNone)
                            ? value.truth()
                            : apply_test(to_text(test, arguments.work()), value,
                                         Arguments(concat("the test of ", arguments.callee()),
                                                   arguments.rest(test_place + 1), {}, arguments.work()));
    if (passes == wanted) kept.push_back(item);
  }
  return Value::list(std::move(kept), arguments.work());
}

/// map(attribute=...) or map("filter"); as in Jinja, a false input has no items.
Value mapped(const Value& input, Arguments& arguments) {
  if (!input.truth()) return Value::list({}, arguments.work());
  const Value attribute = arguments.optional(1000, "attribute", Value());
  const Value otherwise = arguments.optional(1000, "default", Value());
  List results;
  for (const Value& item : items_of(input, arguments.work())) {
    if (attribute.is(Kind::kNone)) {
      results.push_back(apply_filter(arguments.required_text(0, "filter"), item,
                                     Arguments(arguments.callee(), arguments.rest(1), {}, arguments.work())));
      continue;
    }
    Value value = item_of(item, attribute, arguments.work());
    const bool missing = value.is(Kind::kUndefined) && !otherwise.is(Kind::kNone);
    results.push_back(missing ? otherwise : value);
  }
  if (!attribute.is(Kind::kNone)) arguments.done(0);
  return Value::list(std::move(results), arguments.work());
}

template <std::string (*Change)(std::string_view)>
Value changed_text(const Value& input, Arguments& arguments) {
  arguments.done(0);
  const std::string text = text_input(input, arguments);
  arguments.work().spend(2 * text.size());
  return Value::text(Change(text));
}

/// As a text's own method of that name.
template <const char* const& Name>
Value as_method(const Value& input, Arguments& arguments) {
  const Value text = Value::text(text_input(input, arguments));
  return call_method(text, Name, std::move(arguments));
}

constexpr const char* kTitle = "title";
constexpr const char* kCapitalize = "capitalize";

const std::map<std::string, Filter, std::less<>>& filters() {
  static const std::map<std::string, Filter, std::less<>> kFilters = {
      {"trim", trimmed},
      {"length", length_of},
      {"count", length_of},
      {"default", with_default},
      {"d", with_default},
      {"join", joined},
      {"replace", replaced},
      {"reverse", reversed},
      {"tojson", as_json},
      {"items", pairs_of},
      {"map", mapped},
      {"upper", changed_text<python::upper>},
      {"lower", changed_text<python::lower>},
      {"title", as_method<kTitle>},
      {"capitalize", as_method<kCapitalize>},
      {"first", [](const Value& input, Arguments& arguments) { return end_item(input, arguments, false); }},
      {"last", [](const Value& input, Arguments& arguments) { return end_item(input, arguments, true); }},
      {"select", [](const Value& input, Arguments& a) { return chosen(input, a, false, true); }},
      {"reject", [](const Value& input, Arguments& a) { return chosen(input, a, false, false); }},
      {"selectattr", [](const Value& input, Arguments& a) { return chosen(input, a, true, true); }},
      {"rejectattr", [](const Value& input, Arguments& a) { return chosen(input, a, true, false); }},
      {"list",
       [](const Value& input, Arguments& arguments) {
         arguments.done(0);
         return Value::list(items_of(input, arguments.work()), arguments.work());
       }},
      {"string",
       [](const Value& input, Arguments& arguments) {
         arguments.done(0);
         return Value::text(text_input(input, arguments));
       }},
      {"safe",
       [](const Value& input, Arguments& arguments) {
         arguments.done(0);
         return Value::text(text_input(input, arguments));
       }},
  };
  return kFilters;
}

/// Tests without an argument; no value for other names.
std::optional<bool> kind_test(const std::string& name, const Value& input) {
  const Kind kind = input.kind();
  if (name == "defined") return kind != Kind::kUndefined;
  if (name == "undefined") return kind == Kind::kUndefined;
  if (name == "none") return kind == Kind::kNone;
  if (name == "true" || name == "false")
    return kind == Kind::kBoolean && input.as_boolean() == (name == "true");
  if (name == "boolean") return kind == Kind::kBoolean;
  if (name == "integer") return kind == Kind::kInteger;
  if (name == "number") return kind == Kind::kInteger || kind == Kind::kBoolean;
  if (name == "string") return kind == Kind::kText;
  if (name == "mapping") return kind == Kind::kDictionary;
  if (name == "callable") return kind == Kind::kFunction || kind == Kind::kMacro;
  if (name == "iterable" || name == "sequence") {  // an undefined value counts as an empty one
    return kind == Kind::kText || kind == Kind::kList || kind == Kind::kDictionary ||
           kind == Kind::kUndefined;
  }
  return std::nullopt;
}

/// The comparison that a test's name stands for; empty for other names.
std::string comparison_named(const std::string& name) {
  static const std::map<std::string, std::string, std::less<>> kNames = {
      {"equalto", "=="}, {"eq", "=="}, {"==", "=="}, {"ne", "!="}, {"!=", "!="}, {"lt", "<"},
      {"lessthan", "<"}, {"<", "<"},   {"le", "<="}, {"<=", "<="}, {"gt", ">"},  {"greaterthan", ">"},
      {">", ">"},        {"ge", ">="}, {">=", ">="}, {"in", "in"}};
  const auto found = kNames.find(name);
  return found == kNames.end() ? "" : found->second;
}

}  // namespace

Value apply_filter(const std::string& name, const Value& input, Arguments&& arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) {
    arguments.work().refuse(concat("the filter ", one_line(name), " is not supported"));
  }
  arguments.work().spend();
  return found->second(input, arguments);
}

bool apply_test(const std::string& name, const Value& input, Arguments&& arguments) {
  Work& work = arguments.work();
  work.spend();
  if (const auto result = kind_test(name, input)) {
    arguments.done(0);
    return *result;
  }
  if (const std::string sign = comparison_named(name); !sign.empty()) {
    const Value other = arguments.required(0, "other");
    arguments.done(1);
    if (sign == "in") return contains(other, input, work);
    if (sign == "==" || sign == "!=") return equal(input, other, work) == (sign == "==");
    const int order = compare(input, other, work);
    return sign == "<" ? order < 0 : sign == "<=" ? order <= 0 : sign == ">" ? order > 0 : order >= 0;
  }
  if (name != "odd" && name != "even" && name != "divisibleby") {
    work.refuse(concat("the test ", one_line(name), " is not supported"));
  }
  const Value divisor = name == "divisibleby" ? arguments.required(0, "num") : Value::integer(2);
  arguments.done(name == "divisibleby" ? 1 : 0);
  return calculate("%", input, divisor, work).truth() == (name == "odd");
}

}  // namespace foresight::jinja
