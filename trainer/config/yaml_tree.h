// YAML as a plain tree with line numbers. yaml-cpp lives behind this header only.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace foresight {

/// One node of a YAML document.
struct YamlNode {
  enum class Kind { kNothing, kScalar, kList, kMap };
  Kind kind = Kind::kNothing;
  int line = 1;                 ///< where it starts, from 1
  std::string text;             ///< of a scalar
  bool quoted = false;          ///< a scalar in quotes (or a block text) is text, whatever it looks like
  std::vector<YamlNode> keys;   ///< of a map, in the order of the document, duplicates kept
  std::vector<YamlNode> items;  ///< of a list; of a map: the value of each key
};

/// Why a text is not acceptable YAML, and in which line.
struct YamlFault {
  int line = 1;
  std::string message;
};

/// Parses one YAML document. Aliases, anchors, tags, a second document and nesting deeper than 8 are faults:
/// a configuration needs none of them, and each is a way to hide what it says (or to make it huge).
std::variant<YamlNode, YamlFault> parse_yaml(const std::string& text);

}  // namespace foresight
