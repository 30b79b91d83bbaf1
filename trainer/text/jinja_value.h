// Values of a chat template, as Jinja and Python have them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "trainer/text/jinja_work.h"

namespace foresight::jinja {

class Value;
struct Statement;
using List = std::vector<Value>;
using Dictionary = std::vector<std::pair<std::string, Value>>;  // in order of insertion; keys are texts

/// A name that has no value; it is false, empty and prints as nothing.
struct Undefined {
  std::shared_ptr<const std::string> name;  // for messages
};
struct None {};
/// A built-in function, or a method of a value, by name.
struct Function {
  std::shared_ptr<const std::string> name;
};
/// A namespace(): the one value that can be changed. Owned by the renderer, so that it may hold itself.
struct Namespace {
  Dictionary* members;
};
/// A macro of the template; the statement lives as long as the template.
struct Macro {
  const Statement* definition;
};

/// A value; copies share their contents.
class Value {
 public:
  enum class Kind {
    kUndefined,
    kNone,
    kBoolean,
    kInteger,
    kText,
    kList,
    kDictionary,
    kFunction,
    kNamespace,
    kMacro
  };

  Value() : data_(None{}) {}
  static Value undefined(const std::string& name);
  static Value boolean(bool value) { return Value(value); }
  static Value integer(std::int64_t value) { return Value(value); }
  static Value text(std::string_view value);
  static Value function(const std::string& name);
  static Value name_space(Dictionary* members) { return Value(Namespace{members}); }
  static Value macro(const Statement* definition) { return Value(Macro{definition}); }
  /// Refuses lists in lists in lists beyond 64.
  static Value list(List items, const Work& work);
  static Value dictionary(Dictionary entries, const Work& work);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind kind) const { return this->kind() == kind; }
  bool as_boolean() const { return std::get<bool>(data_); }
  std::int64_t as_integer() const { return std::get<std::int64_t>(data_); }
  const std::string& as_text() const { return *std::get<Text>(data_); }
  const List& as_list() const { return std::get<SharedList>(data_)->items; }
  const Dictionary& as_dictionary() const { return std::get<SharedDictionary>(data_)->items; }
  Dictionary& members() const { return *std::get<Namespace>(data_).members; }
  const Statement* as_macro() const { return std::get<Macro>(data_).definition; }
  /// The name of an undefined value or a function.
  const std::string& name() const;

  /// Python's bool().
  bool truth() const;
  /// How a message calls this kind of value: "a list".
  const char* kind_name() const;

 private:
  template <class Items>
  struct Nested {
    Items items;
    int depth;
  };
  using Text = std::shared_ptr<const std::string>;
  using SharedList = std::shared_ptr<const Nested<List>>;
  using SharedDictionary = std::shared_ptr<const Nested<Dictionary>>;
  using Data = std::variant<Undefined, None, bool, std::int64_t, Text, SharedList, SharedDictionary, Function,
                            Namespace, Macro>;  // in the order of Kind

  explicit Value(Data data) : data_(std::move(data)) {}
  int depth() const;

  Data data_;
};

/// The value under `key`; nullptr where there is none.
const Value* find(const Dictionary& dictionary, std::string_view key);

/// Python's ==.
bool equal(const Value& left, const Value& right, Work& work);
/// Negative, 0 or positive; refuses what has no order.
int compare(const Value& left, const Value& right, const Work& work);
/// Python's `item in container`.
bool contains(const Value& container, const Value& item, Work& work);
/// str(value); refuses lists and dictionaries, which would be Python code.
std::string to_text(const Value& value, Work& work);
/// The items that a loop goes through.
List items_of(const Value& value, Work& work);
/// object[key], object.key: undefined where there is none; refuses parts of an undefined value.
Value item_of(const Value& object, const Value& key, Work& work);
/// object[begin:end:step]; a bound that is none is left out.
Value slice_of(const Value& object, const Value& begin, const Value& end, const Value& step, Work& work);
/// left (operation) right of + - * // % ~.
Value calculate(const std::string& operation, const Value& left, const Value& right, Work& work);
/// json.dumps(value, ensure_ascii=False, indent=indent).
std::string to_json(const Value& value, Work& work, std::optional<std::size_t> indent = std::nullopt);

}  // namespace foresight::jinja
