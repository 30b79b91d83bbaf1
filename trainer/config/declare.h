// What every key of the configuration is: name, type, bounds or choices, help. Reader, YAML writer,
// differences and documentation all go over these declarations; a new key is declared once, in declare.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "trainer/config/config.h"
#include "trainer/config/stage.h"

namespace foresight {

/// The value of any key; an enum is held as its word.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                           std::vector<std::int64_t>>;

struct BooleanType {};

/// low <= value <= high.
struct IntegerType {
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// low <= value <= high, or low < value <= high with `above_low`.
struct NumberType {
  double low = 0;
  double high = 0;
  bool above_low = false;
};

/// A text; one of `choices` unless there are none.
struct TextType {
  std::vector<std::string> choices;
  bool may_be_empty = false;
};

/// A list of texts, none of them empty.
struct TextListType {
  bool may_be_empty = true;
};

/// A list of integers, each within low .. high; it may be empty.
struct IntegerListType {
  std::int64_t low = 0;
  std::int64_t high = 0;
};

using ValueType = std::variant<BooleanType, IntegerType, NumberType, TextType, TextListType, IntegerListType>;

/// What a training makes of a key that has another value than when the checkpoint was written which it is to
/// resume from.
enum class OnResume {
  kRefuse,          ///< the key changes what is learned: the checkpoint is refused
  kCompareContent,  ///< a path: the content of what it names must be the same
  kMayChange,       ///< it changes nothing that is learned
};

/// One key, with access to its value in a Config.
struct Key {
  std::string section;  ///< empty for a key that stands at the top
  std::string name;
  std::string help;
  ValueType type;
  bool required = false;
  bool expands_environment = false;  ///< ${NAME} and a leading ~/ are replaced when it is read
  OnResume on_resume = OnResume::kRefuse;
  std::string before_it_was;  ///< what the program did before it had this key, as YAML; empty: as the default
  std::function<Value(const Config&)> get;
  std::function<void(Config&, const Value&)> set;  ///< the value has passed `type`

  /// "supervised.steps"; a key at the top is its bare name.
  std::string dotted() const { return section.empty() ? name : section + "." + name; }
};

/// The keys that stand under one name; the first section is the top of the file and has none.
struct Section {
  std::string name;
  std::string help;
  std::vector<Key> keys;
};

/// All sections, in the order of the file and of the documentation.
const std::vector<Section>& config_sections();

/// True when a checkpoint of the stage `training` is resumed from although the key has another value since:
/// by the key's trait, or because it stands in the section of the other training stage. `content_compared`:
/// the checkpoint knows the content of what kCompareContent keys name.
bool may_change_on_resume(const Key& key, Stage training, bool content_compared);

/// The key with that dotted name, or nullptr.
const Key* find_key(const std::string& dotted);

}  // namespace foresight
