// Parts and sums of values; declared in jinja_value.h.
#include <array>

#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/text/jinja_value.h"
#include "trainer/text/python_text.h"

namespace foresight::jinja {

namespace {

using Kind = Value::Kind;

constexpr std::size_t kItemBytes = 8;  // of the budget, for each item that a list copies

/// The item at Python's `index`, which may count from the end; nothing outside.
std::optional<std::size_t> place_of(std::int64_t index, std::size_t size) {
  const auto count = static_cast<std::int64_t>(size);
  if (index < -count || index >= count) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + count : index);
}

/// A slice's bound as Python has it: from the end where negative, then within `lowest` to `highest`.
std::int64_t bound(const Value& value, std::int64_t absent, std::int64_t size, std::int64_t lowest,
                   std::int64_t highest, const Work& work) {
  if (value.is(Kind::kNone)) return absent;
  if (!value.is(Kind::kInteger))
    work.refuse(concat("a slice's bound is ", value.kind_name(), ", expected a number"));
  std::int64_t index = value.as_integer();
  if (index < 0) index = index < -size ? -1 : index + size;
  return std::min(std::max(index, lowest), highest);
}

std::vector<std::size_t> slice_places(std::int64_t size, const Value& begin, const Value& end,
                                      const Value& step, Work& work) {
  std::int64_t stride = 1;
  if (!step.is(Kind::kNone)) {
    if (!step.is(Kind::kInteger) || step.as_integer() == 0)
      work.refuse("a slice's step is not a number other than 0");
    // Beyond the size a step takes one item alone.
    stride = std::min(std::max(step.as_integer(), -size - 1), size + 1);
  }
  const bool forward = stride > 0;
  const std::int64_t lowest = forward ? 0 : -1, highest = forward ? size : size - 1;
  const std::int64_t first = bound(begin, forward ? lowest : highest, size, lowest, highest, work);
  const std::int64_t last = bound(end, forward ? highest : lowest, size, lowest, highest, work);
  std::vector<std::size_t> places;
  for (std::int64_t at = first; forward ? at < last : at > last; at += stride) {
    work.spend(kItemBytes);
    places.push_back(static_cast<std::size_t>(at));
  }
  return places;
}

Value add(const Value& left, const Value& right, Work& work) {
  if (left.is(Kind::kText) && right.is(Kind::kText)) {
    work.spend(left.as_text().size() + right.as_text().size());
    return Value::text(left.as_text() + right.as_text());
  }
  if (left.is(Kind::kList) && right.is(Kind::kList)) {
    work.spend(kItemBytes * (left.as_list().size() + right.as_list().size()));
    List joined = left.as_list();
    joined.insert(joined.end(), right.as_list().begin(), right.as_list().end());
    return Value::list(std::move(joined), work);
  }
  for (const Value* side : {&left, &right}) {
    if (side->is(Kind::kUndefined)) work.refuse(concat("\"", one_line(side->name()), "\" is undefined"));
  }
  work.refuse(concat("+ of ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
}

/// Python's // and %, which round down.
std::int64_t divide(std::int64_t left, std::int64_t right, bool remainder, const Work& work) {
  if (right == 0) work.refuse("division by zero");
  if (right == -1) {  // the one quotient that may not fit
    std::int64_t negated = 0;
    if (__builtin_sub_overflow(std::int64_t{0}, left, &negated)) work.refuse("a number is too large");
    return remainder ? 0 : negated;
  }
  const std::int64_t rest = left % right;
  const bool down = rest != 0 && (rest < 0) != (right < 0);
  if (remainder) return down ? rest + right : rest;
  return left / right - (down ? 1 : 0);
}

Value calculate_numbers(const std::string& operation, std::int64_t left, std::int64_t right,
                        const Work& work) {
  std::int64_t result = 0;
  bool too_large = false;
  if (operation == "+") {
    too_large = __builtin_add_overflow(left, right, &result);
  } else if (operation == "-") {
    too_large = __builtin_sub_overflow(left, right, &result);
  } else if (operation == "*") {
    too_large = __builtin_mul_overflow(left, right, &result);
  } else {
    result = divide(left, right, operation == "%", work);
  }
  if (too_large) work.refuse("a number is too large");
  return Value::integer(result);
}

void append_json_text(std::string& json, const std::string& text) {
  json += '"';
  for (const char character : text) {
    const std::size_t escaped = std::string_view("\"\\\n\r\t\b\f").find(character);
    if (escaped != std::string_view::npos) {
      json += '\\';
      json += "\"\\nrtbf"[escaped];
    } else if (static_cast<unsigned char>(character) < 0x20) {
      constexpr std::array<char, 17> kDigits{"0123456789abcdef"};
      json += "\\u00";
      json += kDigits[static_cast<std::size_t>(character) >> 4];
      json += kDigits[static_cast<std::size_t>(character) & 15];
    } else {
      json += character;
    }
  }
  json += '"';
}

/// The JSON of a value that lies `depth` - 1 lists and dictionaries deep.
std::string json_at(const Value& value, Work& work, std::optional<std::size_t> indent, std::size_t depth) {
  const auto line = [&](std::size_t at) { return indent ? "\n" + std::string(*indent * at, ' ') : ""; };
  const std::string between = indent ? "," + line(depth) : ", ";
  std::string json;
  if (value.is(Kind::kText)) {
    work.spend(value.as_text().size());
    append_json_text(json, value.as_text());
  } else if (value.is(Kind::kList)) {
    for (const Value& item : value.as_list())
      json += (json.empty() ? line(depth) : between) + json_at(item, work, indent, depth + 1);
    json = "[" + json + (json.empty() ? "" : line(depth - 1)) + "]";
  } else if (value.is(Kind::kDictionary)) {
    for (const auto& [key, item] : value.as_dictionary()) {
      json += json.empty() ? line(depth) : between;
      append_json_text(json, key);
      json += ": " + json_at(item, work, indent, depth + 1);
    }
    json = "{" + json + (json.empty() ? "" : line(depth - 1)) + "}";
  } else if (value.is(Kind::kNone)) {
    json = "null";
  } else if (value.is(Kind::kBoolean)) {
    json = value.as_boolean() ? "true" : "false";
  } else if (value.is(Kind::kInteger)) {
    json = std::to_string(value.as_integer());
  } else {
    work.refuse(concat(value.kind_name(), " as JSON is not supported"));
  }
  work.spend(json.size());
  return json;
}

}  // namespace

List items_of(const Value& value, Work& work) {
  List items;
  if (value.is(Kind::kList)) {
    items = value.as_list();
  } else if (value.is(Kind::kText)) {
    for (const std::string_view character : python::characters(value.as_text())) {
      work.spend(64);  // a value for each
      items.push_back(Value::text(character));
    }
  } else if (value.is(Kind::kDictionary)) {
    for (const auto& entry : value.as_dictionary()) items.push_back(Value::text(entry.first));
  } else if (!value.is(Kind::kUndefined)) {
    work.refuse(concat("a loop over ", value.kind_name(), " is not supported"));
  }
  work.spend(kItemBytes * items.size());
  return items;
}

Value item_of(const Value& object, const Value& key, Work& work) {
  work.spend();
  const std::string shown = key.is(Kind::kText)      ? key.as_text()
                            : key.is(Kind::kInteger) ? to_text(key, work)
                                                     : "?";
  if (object.is(Kind::kUndefined)) {
    work.refuse(
        concat("\"", one_line(object.name()), "\" is undefined, so it has no \"", one_line(shown), "\""));
  }
  const Value* found = nullptr;
  if (object.is(Kind::kDictionary) && key.is(Kind::kText))
    found = find(object.as_dictionary(), key.as_text());
  if (object.is(Kind::kNamespace) && key.is(Kind::kText)) found = find(object.members(), key.as_text());
  if (key.is(Kind::kInteger) && object.is(Kind::kList)) {
    const auto place = place_of(key.as_integer(), object.as_list().size());
    if (place) found = &object.as_list()[*place];
  }
  if (found != nullptr) return *found;
  if (key.is(Kind::kInteger) && object.is(Kind::kText)) {
    work.spend(object.as_text().size());
    const auto characters = python::characters(object.as_text());
    const auto place = place_of(key.as_integer(), characters.size());
    if (place) return Value::text(characters[*place]);
  }
  return Value::undefined(shown);
}

Value slice_of(const Value& object, const Value& begin, const Value& end, const Value& step, Work& work) {
  if (object.is(Kind::kList)) {
    List items;
    const List& all = object.as_list();
    for (const std::size_t place :
         slice_places(static_cast<std::int64_t>(all.size()), begin, end, step, work)) {
      items.push_back(all[place]);
    }
    return Value::list(std::move(items), work);
  }
  if (!object.is(Kind::kText)) work.refuse(concat("a slice of ", object.kind_name(), " is not supported"));
  work.spend(object.as_text().size());
  const auto characters = python::characters(object.as_text());
  std::string text;
  for (const std::size_t place :
       slice_places(static_cast<std::int64_t>(characters.size()), begin, end, step, work)) {
    text += characters[place];
  }
  return Value::text(text);
}

Value calculate(const std::string& operation, const Value& left, const Value& right, Work& work) {
  if (operation == "~") {
    std::string text = to_text(left, work);
    return Value::text(text += to_text(right, work));
  }
  if (left.is(Kind::kInteger) && right.is(Kind::kInteger)) {
    return calculate_numbers(operation, left.as_integer(), right.as_integer(), work);
  }
  if (operation == "+") return add(left, right, work);
  work.refuse(concat(operation, " of ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
}

std::string to_json(const Value& value, Work& work, std::optional<std::size_t> indent) {
  return json_at(value, work, indent, 1);
}

}  // namespace foresight::jinja
