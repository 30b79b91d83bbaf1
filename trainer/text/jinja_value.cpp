#include "trainer/text/jinja_value.h"

#include <algorithm>

#include "trainer/base/text.h"

namespace foresight::jinja {

namespace {

// Values are copied, compared and freed by recursion.
constexpr int kDeepestValue = 64;

bool is_number(const Value& value) {
  return value.is(Value::Kind::kInteger) || value.is(Value::Kind::kBoolean);
}

std::int64_t number(const Value& value) {
  return value.is(Value::Kind::kBoolean) ? static_cast<std::int64_t>(value.as_boolean()) : value.as_integer();
}

bool equal_dictionaries(const Dictionary& left, const Dictionary& right, Work& work) {
  if (left.size() != right.size()) return false;
  return std::all_of(left.begin(), left.end(), [&](const auto& entry) {
    const Value* other = find(right, entry.first);
    return other != nullptr && equal(entry.second, *other, work);
  });
}

}  // namespace

Value Value::undefined(const std::string& name) {
  return Value(Undefined{std::make_shared<const std::string>(name)});
}

Value Value::text(std::string_view value) {
  return Value(Data(std::make_shared<const std::string>(value)));
}

Value Value::function(const std::string& name) {
  return Value(Function{std::make_shared<const std::string>(name)});
}

Value Value::list(List items, const Work& work) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  if (depth >= kDeepestValue) work.refuse(concat("values are nested deeper than ", kDeepestValue));
  return Value(Data(std::make_shared<const Nested<List>>(Nested<List>{std::move(items), depth + 1})));
}

Value Value::dictionary(Dictionary entries, const Work& work) {
  int depth = 0;
  for (const auto& [key, value] : entries) depth = std::max(depth, value.depth());
  if (depth >= kDeepestValue) work.refuse(concat("values are nested deeper than ", kDeepestValue));
  return Value(
      Data(std::make_shared<const Nested<Dictionary>>(Nested<Dictionary>{std::move(entries), depth + 1})));
}

int Value::depth() const {
  if (is(Kind::kList)) return std::get<SharedList>(data_)->depth;
  return is(Kind::kDictionary) ? std::get<SharedDictionary>(data_)->depth : 0;
}

const std::string& Value::name() const {
  return is(Kind::kUndefined) ? *std::get<Undefined>(data_).name : *std::get<Function>(data_).name;
}

bool Value::truth() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBoolean:
      return as_boolean();
    case Kind::kInteger:
      return as_integer() != 0;
    case Kind::kText:
      return !as_text().empty();
    case Kind::kList:
      return !as_list().empty();
    case Kind::kDictionary:
      return !as_dictionary().empty();
    default:
      return true;
  }
}

const char* Value::kind_name() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "an undefined value";
    case Kind::kNone:
      return "none";
    case Kind::kBoolean:
      return "a truth value";
    case Kind::kInteger:
      return "a number";
    case Kind::kText:
      return "a text";
    case Kind::kList:
      return "a list";
    case Kind::kDictionary:
      return "a dictionary";
    case Kind::kNamespace:
      return "a namespace";
    default:
      return "a function";
  }
}

const Value* find(const Dictionary& dictionary, std::string_view key) {
  const auto found = std::find_if(dictionary.begin(), dictionary.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  return found == dictionary.end() ? nullptr : &found->second;
}

bool equal(const Value& left, const Value& right, Work& work) {
  work.spend();
  if (is_number(left) && is_number(right)) return number(left) == number(right);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Value::Kind::kUndefined:
    case Value::Kind::kNone:
      return true;
    case Value::Kind::kText:
      return left.as_text() == right.as_text();
    case Value::Kind::kList:
      return std::equal(left.as_list().begin(), left.as_list().end(), right.as_list().begin(),
                        right.as_list().end(),
                        [&](const Value& a, const Value& b) { return equal(a, b, work); });
    case Value::Kind::kDictionary:
      return equal_dictionaries(left.as_dictionary(), right.as_dictionary(), work);
    default:
      work.refuse("functions and namespaces cannot be compared");
  }
}

int compare(const Value& left, const Value& right, const Work& work) {
  if (is_number(left) && is_number(right)) {
    return number(left) < number(right) ? -1 : static_cast<int>(number(left) > number(right));
  }
  if (left.is(Value::Kind::kText) && right.is(Value::Kind::kText)) {
    return left.as_text().compare(right.as_text());  // UTF-8 has the order of characters
  }
  work.refuse(concat(left.kind_name(), " and ", right.kind_name(), " have no order"));
}

bool contains(const Value& container, const Value& item, Work& work) {
  switch (container.kind()) {
    case Value::Kind::kText:
      if (!item.is(Value::Kind::kText)) break;
      work.spend(1 + container.as_text().size() / 16);
      return container.as_text().find(item.as_text()) != std::string::npos;
    case Value::Kind::kDictionary:
      return item.is(Value::Kind::kText) && find(container.as_dictionary(), item.as_text()) != nullptr;
    case Value::Kind::kUndefined:
      return false;
    case Value::Kind::kList:
      return std::any_of(container.as_list().begin(), container.as_list().end(),
                         [&](const Value& one) { return equal(one, item, work); });
    default:
      break;
  }
  work.refuse(concat("\"in\" of ", item.kind_name(), " and ", container.kind_name(), " is not supported"));
}

std::string to_text(const Value& value, Work& work) {
  switch (value.kind()) {
    case Value::Kind::kUndefined:
      return "";
    case Value::Kind::kNone:
      return "None";
    case Value::Kind::kBoolean:
      return value.as_boolean() ? "True" : "False";
    case Value::Kind::kInteger:
      return std::to_string(value.as_integer());
    case Value::Kind::kText:
      work.spend(value.as_text().size());
      return value.as_text();
    default:
      work.refuse(concat(value.kind_name(), " written as text is not supported"));
  }
}

}  // namespace foresight::jinja
