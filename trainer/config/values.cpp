#include "trainer/config/values.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

constexpr std::size_t kShownBytes = 60;  // of a value in a message

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

ParsedValue fault(const std::string& message) {
  return {std::nullopt, message};
}

std::string described(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNothing:
      return "nothing";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a section of keys";
    case YamlNode::Kind::kScalar:
      break;
  }
  return concat(node.quoted ? "the quoted text \"" : "\"", one_line(node.text, kShownBytes), "\"");
}

ParsedValue mismatch(const std::string& expected, const YamlNode& node) {
  return fault(concat("expected ", expected, ", got ", described(node)));
}

bool is_plain(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted;
}

ParsedValue parse_boolean(const YamlNode& node) {
  if (is_plain(node)) {
    if (node.text == "true" || node.text == "True" || node.text == "TRUE") return {true, ""};
    if (node.text == "false" || node.text == "False" || node.text == "FALSE") return {false, ""};
  }
  return mismatch("true or false", node);
}

// The whole text as a number; from_chars itself knows no leading plus sign.
template <class Number>
std::errc read_number(const std::string& text, Number& number) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  const char* begin = text.data() + (plus ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(begin, end, number);
  if (stopped != end) return std::errc::invalid_argument;
  return problem;
}

ParsedValue parse_integer(const IntegerType& type, const YamlNode& node) {
  std::int64_t number = 0;
  const std::errc problem = is_plain(node) ? read_number(node.text, number) : std::errc::invalid_argument;
  if (problem == std::errc::invalid_argument) return mismatch("an integer", node);
  if (problem != std::errc() || number < type.low || number > type.high) {
    return fault(concat(one_line(node.text, kShownBytes), " is out of range; expected ", type_limits(type)));
  }
  return {number, ""};
}

ParsedValue parse_number(const NumberType& type, const YamlNode& node) {
  double number = 0;
  const std::errc problem = is_plain(node) ? read_number(node.text, number) : std::errc::invalid_argument;
  if (problem == std::errc::invalid_argument) return mismatch("a number", node);
  const bool above = type.above_low ? number > type.low : number >= type.low;
  // Not a number, infinite or too large for a double: all of them fail one of these.
  if (problem != std::errc() || !above || !(number <= type.high)) {
    return fault(concat(one_line(node.text, kShownBytes), " is out of range; expected ", type_limits(type)));
  }
  return {number, ""};
}

ParsedValue parse_text(const Key& key, const TextType& type, const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kNothing && type.may_be_empty) {
    return fault("expected text, got nothing; write '' for no value");
  }
  if (node.kind != YamlNode::Kind::kScalar) return mismatch("text", node);
  std::string text = node.text;
  if (key.expands_environment) {
    try {
      text = expand_path(text);
    } catch (const Error& error) {
      return fault(error.what());
    }
  }
  if (text.find('\0') != std::string::npos) return fault("expected text, got a NUL character in it");
  if (text.empty() && !type.may_be_empty) return fault("expected text, got an empty one");
  if (type.choices.empty()) return {text, ""};
  for (const std::string& choice : type.choices) {
    if (choice == text) return {text, ""};
  }
  return fault(concat("expected one of ", join(type.choices, ", "), ", got ", described(node),
                      "; the nearest is ", nearest_name(text, type.choices)));
}

// A list of `what`, each item read by `parse_item`; a fault names the item.
template <class Item, class ParseItem>
ParsedValue parse_list(const char* what, const YamlNode& node, bool may_be_empty,
                       const ParseItem& parse_item) {
  if (node.kind == YamlNode::Kind::kScalar) {
    return fault(concat("expected a list, got ", described(node), "; write it in brackets: [",
                        one_line(node.text, kShownBytes), "]"));
  }
  if (node.kind != YamlNode::Kind::kList) return mismatch(concat("a list of ", what), node);
  std::vector<Item> items;
  for (const YamlNode& child : node.items) {
    ParsedValue item = parse_item(child);
    if (!item.value) return fault(concat("item ", items.size() + 1, ": ", item.fault));
    items.push_back(std::get<Item>(std::move(*item.value)));
  }
  if (items.empty() && !may_be_empty) return fault("expected at least one item, got an empty list");
  return {std::move(items), ""};
}

ParsedValue parse_text_list(const Key& key, const TextListType& type, const YamlNode& node) {
  return parse_list<std::string>("texts", node, type.may_be_empty,
                                 [&](const YamlNode& item) { return parse_text(key, TextType{}, item); });
}

ParsedValue parse_integer_list(const IntegerListType& type, const YamlNode& node) {
  return parse_list<std::int64_t>("integers", node, /*may_be_empty=*/true, [&](const YamlNode& item) {
    return parse_integer({type.low, type.high}, item);
  });
}

// Shortest exact form, always with a point: some YAML readers take "1e-04" for a text and "1" for an integer.
std::string number_text(double number) {
  std::array<char, 512> buffer{};
  const double size = std::fabs(number);
  const bool moderate = size == 0 || (size >= 1e-6 && size < 1e15);
  const auto format = moderate ? std::chars_format::fixed : std::chars_format::scientific;
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
  std::string text(buffer.data(), written.ptr);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

// Plain where no YAML reader could take it for anything but a text, in double quotes elsewhere.
std::string quoted_text(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
  static const std::vector<std::string> kWords = {"true", "false", "null", "yes", "no",
                                                  "on",   "off",   "y",    "n"};
  std::string lower;
  for (const char letter : text)
    lower += static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter + 32 : letter);
  const bool starts_plainly = !lower.empty() && ((lower[0] >= 'a' && lower[0] <= 'z') || lower[0] == '/');
  bool is_word = false;
  for (const std::string& word : kWords) is_word = is_word || word == lower;
  if (starts_plainly && !is_word && text.find_first_not_of(kPlain) == std::string::npos) return text;

  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      quoted += {'\\', letter};
    } else if (code < 0x20 || code == 0x7f) {
      quoted += {'\\', 'x', kHexDigits[code >> 4], kHexDigits[code & 15]};
    } else {
      quoted += letter;
    }
  }
  return quoted + "\"";
}

}  // namespace

ParsedValue parse_value(const Key& key, const YamlNode& node) {
  return std::visit(Overloaded{[&](const BooleanType&) { return parse_boolean(node); },
                               [&](const IntegerType& type) { return parse_integer(type, node); },
                               [&](const NumberType& type) { return parse_number(type, node); },
                               [&](const TextType& type) { return parse_text(key, type, node); },
                               [&](const TextListType& type) { return parse_text_list(key, type, node); },
                               [&](const IntegerListType& type) { return parse_integer_list(type, node); }},
                    key.type);
}

std::string value_text(const Value& value) {
  return std::visit(Overloaded{[](bool flag) { return std::string(flag ? "true" : "false"); },
                               [](std::int64_t number) { return std::to_string(number); },
                               [](double number) { return number_text(number); },
                               [](const std::string& text) { return quoted_text(text); },
                               [](const std::vector<std::string>& texts) {
                                 std::vector<std::string> items;
                                 for (const std::string& text : texts) items.push_back(quoted_text(text));
                                 return "[" + join(items, ", ") + "]";
                               },
                               [](const std::vector<std::int64_t>& numbers) {
                                 std::vector<std::string> items;
                                 for (const std::int64_t number : numbers)
                                   items.push_back(std::to_string(number));
                                 return "[" + join(items, ", ") + "]";
                               }},
                    value);
}

std::string type_name(const ValueType& type) {
  return std::visit(
      Overloaded{[](const BooleanType&) { return "boolean"; }, [](const IntegerType&) { return "integer"; },
                 [](const NumberType&) { return "number"; }, [](const TextType&) { return "text"; },
                 [](const TextListType&) { return "list of texts"; },
                 [](const IntegerListType&) { return "list of integers"; }},
      type);
}

std::string type_limits(const ValueType& type) {
  return std::visit(
      Overloaded{
          [](const BooleanType&) { return std::string("true, false"); },
          [](const IntegerType& integer) {
            if (integer.high == std::numeric_limits<std::int64_t>::max()) {
              return concat(integer.low, " .. 2^63 - 1");
            }
            return concat(integer.low, " .. ", integer.high);
          },
          [](const NumberType& number) {
            if (number.above_low) return concat("above ", number.low, ", at most ", number.high);
            return concat(number.low, " .. ", number.high);
          },
          [](const TextType& text) { return join(text.choices, ", "); },
          [](const TextListType& list) { return std::string(list.may_be_empty ? "" : "at least one item"); },
          [](const IntegerListType& list) { return concat("each ", list.low, " .. ", list.high); }},
      type);
}

}  // namespace foresight
