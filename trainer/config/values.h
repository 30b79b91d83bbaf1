// One value: from YAML, checked against its type, and back to text.
#pragma once

#include <optional>
#include <string>

#include "trainer/config/declare.h"
#include "trainer/config/yaml_tree.h"

namespace foresight {

/// A value, or why there is none.
struct ParsedValue {
  std::optional<Value> value;
  std::string fault;  ///< "expected an integer, got text "abc""; empty when there is a value
};

/// Reads `node` as a value of `key`: type, bounds, choices, ${NAME}.
ParsedValue parse_value(const Key& key, const YamlNode& node);

/// The value as YAML that reads back to the same value; doubles in their shortest exact form.
std::string value_text(const Value& value);

/// "integer", "number", "boolean", "text", "list of texts", for documentation.
std::string type_name(const ValueType& type);

/// "1 .. 9", "> 0, at most 1", "auto, cpu, cuda"; empty where nothing is to be said.
std::string type_limits(const ValueType& type);

}  // namespace foresight
