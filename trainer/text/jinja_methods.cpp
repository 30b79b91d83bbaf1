// Arguments, and methods of texts and dictionaries; declared in jinja_functions.h.
#include <algorithm>
#include <cctype>
#include <map>

#include "trainer/base/text.h"
#include "trainer/text/jinja_functions.h"
#include "trainer/text/python_text.h"

namespace foresight::jinja {

namespace {

using Kind = Value::Kind;
using TextMethod = Value (*)(const std::string& text, Arguments& arguments);

Value list_of_texts(const std::vector<std::string>& texts, Arguments& arguments) {
  arguments.work().spend(64 * texts.size());  // a value for each
  List items;
  for (const std::string& text : texts) items.push_back(Value::text(text));
  return Value::list(std::move(items), arguments.work());
}

Value split(const std::string& text, Arguments& arguments, bool from_right) {
  const Value separator = arguments.optional(0, "sep", Value());
  const std::int64_t most = arguments.optional_integer(1, "maxsplit", -1);
  arguments.done(2);
  if (separator.is(Kind::kNone)) {
    if (most >= 0)
      arguments.work().refuse(concat(arguments.callee(), " at blanks with a limit is not supported"));
    return list_of_texts(python::split_at_blanks(text), arguments);
  }
  const std::string sign = to_text(separator, arguments.work());
  if (sign.empty()) arguments.work().refuse(concat(arguments.callee(), " has an empty separator"));
  return list_of_texts(python::split(text, sign, most, from_right), arguments);
}

Value strip(const std::string& text, Arguments& arguments, bool left, bool right) {
  const Value chosen = arguments.optional(0, "chars", Value());
  arguments.done(1);
  if (chosen.is(Kind::kNone)) return Value::text(python::strip(text, left, right));
  return Value::text(python::strip(text, left, right, to_text(chosen, arguments.work())));
}

bool has_end(const std::string& text, const std::string& end, bool start) {
  return start ? text.starts_with(end) : text.ends_with(end);
}

/// startswith and endswith; a list of texts asks for any of them.
Value ends_with(const std::string& text, Arguments& arguments, bool start) {
  const Value wanted = arguments.required(0, "prefix");
  arguments.done(1);
  if (!wanted.is(Kind::kList)) {
    if (!wanted.is(Kind::kText))
      arguments.work().refuse(concat(arguments.callee(), " of ", wanted.kind_name()));
    return Value::boolean(has_end(text, wanted.as_text(), start));
  }
  return Value::boolean(std::any_of(wanted.as_list().begin(), wanted.as_list().end(), [&](const Value& one) {
    return has_end(text, to_text(one, arguments.work()), start);
  }));
}

Value without_end(const std::string& text, Arguments& arguments, bool start) {
  const std::string end = arguments.required_text(0, "prefix");
  arguments.done(1);
  if (!has_end(text, end, start)) return Value::text(text);
  return Value::text(start ? text.substr(end.size()) : text.substr(0, text.size() - end.size()));
}

Value replace(const std::string& text, Arguments& arguments) {
  return apply_filter("replace", Value::text(text), std::move(arguments));
}

Value join_items(const std::string& text, Arguments& arguments) {
  const Value items = arguments.required(0, "iterable");
  arguments.done(1);
  for (const Value& item : items_of(items, arguments.work())) {
    if (!item.is(Kind::kText)) arguments.work().refuse(concat("join() of ", item.kind_name()));
  }
  return apply_filter("join", items,
                      Arguments(arguments.callee(), {Value::text(text)}, {}, arguments.work()));
}

Value find_text(const std::string& text, Arguments& arguments) {
  const std::string wanted = arguments.required_text(0, "sub");
  arguments.done(1);
  const std::size_t found = text.find(wanted);
  if (found == std::string::npos) return Value::integer(-1);
  return Value::integer(python::length(std::string_view(text).substr(0, found)));
}

Value count_text(const std::string& text, Arguments& arguments) {
  const std::string wanted = arguments.required_text(0, "sub");
  arguments.done(1);
  if (wanted.empty()) return Value::integer(python::length(text) + 1);
  std::int64_t count = 0;
  for (std::size_t at = text.find(wanted); at != std::string::npos;
       at = text.find(wanted, at + wanted.size()))
    ++count;
  return Value::integer(count);
}

/// title and capitalize, which Python defines in ways of its own beyond ASCII.
Value capitalised(const std::string& text, Arguments& arguments, bool every_word) {
  arguments.done(0);
  std::string result;
  bool first = true;
  for (const char byte : text) {
    const auto letter = static_cast<unsigned char>(byte);
    if (letter >= 0x80) arguments.work().refuse(concat(arguments.callee(), " beyond ASCII is not supported"));
    result += static_cast<char>(first ? std::toupper(letter) : std::tolower(letter));
    first = every_word && std::isalpha(letter) == 0;
  }
  return Value::text(result);
}

const std::map<std::string, TextMethod, std::less<>>& text_methods() {
  static const std::map<std::string, TextMethod, std::less<>> kMethods = {
      {"split", [](const std::string& text, Arguments& a) { return split(text, a, false); }},
      {"rsplit", [](const std::string& text, Arguments& a) { return split(text, a, true); }},
      {"strip", [](const std::string& text, Arguments& a) { return strip(text, a, true, true); }},
      {"lstrip", [](const std::string& text, Arguments& a) { return strip(text, a, true, false); }},
      {"rstrip", [](const std::string& text, Arguments& a) { return strip(text, a, false, true); }},
      {"startswith", [](const std::string& text, Arguments& a) { return ends_with(text, a, true); }},
      {"endswith", [](const std::string& text, Arguments& a) { return ends_with(text, a, false); }},
      {"removeprefix", [](const std::string& text, Arguments& a) { return without_end(text, a, true); }},
      {"removesuffix", [](const std::string& text, Arguments& a) { return without_end(text, a, false); }},
      {"title", [](const std::string& text, Arguments& a) { return capitalised(text, a, true); }},
      {"capitalize", [](const std::string& text, Arguments& a) { return capitalised(text, a, false); }},
      {"upper", [](const std::string& text,
                   Arguments& a) { return apply_filter("upper", Value::text(text), std::move(a)); }},
      {"lower", [](const std::string& text,
                   Arguments& a) { return apply_filter("lower", Value::text(text), std::move(a)); }},
      {"replace", replace},
      {"join", join_items},
      {"find", find_text},
      {"count", count_text},
  };
  return kMethods;
}

bool is_dictionary_method(const std::string& name) {
  return name == "get" || name == "items" || name == "keys" || name == "values";
}

}  // namespace

Value Arguments::optional(std::size_t place, const char* name, const Value& absent) {
  asked_.emplace_back(name);
  const Value* by_name = find(named_, name);
  if (place < positional_.size()) {
    if (by_name != nullptr) work_.refuse(concat(callee_, " is given ", name, " twice"));
    return positional_[place];
  }
  return by_name == nullptr ? absent : *by_name;
}

Value Arguments::required(std::size_t place, const char* name) {
  if (place >= positional_.size() && find(named_, name) == nullptr) {
    work_.refuse(concat(callee_, " is not given ", name));
  }
  return optional(place, name, Value());
}

std::string Arguments::required_text(std::size_t place, const char* name) {
  const Value value = required(place, name);
  if (value.is(Value::Kind::kText)) return value.as_text();
  work_.refuse(concat(callee_, ": ", name, " is ", value.kind_name(), ", expected a text"));
}

std::int64_t Arguments::optional_integer(std::size_t place, const char* name, std::int64_t absent) {
  const Value value = optional(place, name, Value());
  if (value.is(Value::Kind::kNone)) return absent;
  if (value.is(Value::Kind::kInteger)) return value.as_integer();
  work_.refuse(concat(callee_, ": ", name, " is ", value.kind_name(), ", expected a number"));
}

void Arguments::done(std::size_t places) const {
  if (positional_.size() > places) work_.refuse(concat(callee_, " takes at most ", places, " arguments"));
  for (const auto& [name, value] : named_) {
    if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) {
      work_.refuse(concat(callee_, " with ", one_line(name), " is not supported"));
    }
  }
}

List Arguments::rest(std::size_t place) const {
  const auto skipped = static_cast<std::ptrdiff_t>(std::min(place, positional_.size()));
  return {positional_.begin() + skipped, positional_.end()};
}

bool is_method(const Value& object, const std::string& name) {
  if (object.is(Kind::kText)) return text_methods().contains(name);
  return object.is(Kind::kDictionary) && is_dictionary_method(name);
}

Value call_method(const Value& object, const std::string& name, Arguments&& arguments) {
  Work& work = arguments.work();
  work.spend();
  if (object.is(Kind::kText)) {
    work.spend(object.as_text().size());
    return text_methods().find(name)->second(object.as_text(), arguments);
  }
  if (name == "items") return apply_filter("items", object, std::move(arguments));
  if (name == "get") {
    const Value key = arguments.required(0, "key"), otherwise = arguments.optional(1, "default", Value());
    arguments.done(2);
    const Value* found = key.is(Kind::kText) ? find(object.as_dictionary(), key.as_text()) : nullptr;
    return found == nullptr ? otherwise : *found;
  }
  arguments.done(0);
  List items;
  for (const auto& [key, value] : object.as_dictionary()) {
    items.push_back(name == "keys" ? Value::text(key) : value);
  }
  return Value::list(std::move(items), work);
}

}  // namespace foresight::jinja
