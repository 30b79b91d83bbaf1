// How declare.cpp declares keys: name, member, type, help, traits.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "trainer/config/declare.h"
#include "trainer/config/names.h"

namespace foresight {

/// Bounds of counts of things, and of tokens.
inline constexpr std::int64_t kMany = 1'000'000'000;
inline constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

/// What a key has beside its name, type and help.
struct Traits {
  bool required = false;
  bool expands_environment = false;
  std::optional<OnResume> on_resume = std::nullopt;  ///< nothing: as the section's other keys
  const char* before_it_was = "";                    ///< Key::before_it_was

  constexpr Traits may_change_on_resume() const {
    return {required, expands_environment, OnResume::kMayChange, before_it_was};
  }
  constexpr Traits content_compared_on_resume() const {
    return {required, expands_environment, OnResume::kCompareContent, before_it_was};
  }
};
inline constexpr Traits kPath{.required = false, .expands_environment = true};
inline constexpr Traits kRequiredPath{.required = true, .expands_environment = true};
/// A key whose default is not what the program did before it had the key.
constexpr Traits before_it_was(const char* value) {
  return {.before_it_was = value};
}
inline constexpr Traits kMayChangeOnResume = Traits().may_change_on_resume();

/// Adds the keys of one struct to a section. `Reach` takes a Config, const or not, to that struct;
/// `on_resume` holds for all keys that say nothing else.
template <class Reach>
class Declarer {
 public:
  Declarer(Section& section, Reach reach, OnResume on_resume = OnResume::kRefuse)
      : section_(section), reach_(reach), on_resume_(on_resume) {}

  template <class Owner, class Member>
  void key(const char* name, Member Owner::*member, ValueType type, const char* help, Traits traits = {}) {
    Key& made = add(name, std::move(type), help, traits);
    made.get = [reach = reach_, member](const Config& config) { return Value(reach(config).*member); };
    made.set = [reach = reach_, member](Config& config, const Value& value) {
      reach(config).*member = std::get<Member>(value);
    };
  }

  template <class Owner, class Enum>
  void choice(const char* name, Enum Owner::*member, const char* help, Traits traits = {}) {
    Key& made = add(name, TextType{enum_choices<Enum>()}, help, traits);
    made.get = [reach = reach_, member](const Config& config) {
      return Value(to_string(reach(config).*member));
    };
    made.set = [reach = reach_, member](Config& config, const Value& value) {
      reach(config).*member = enum_from_string<Enum>(std::get<std::string>(value));
    };
  }

 private:
  Key& add(const char* name, ValueType type, const char* help, Traits traits) {
    return section_.keys.emplace_back(Key{.section = section_.name,
                                          .name = name,
                                          .help = help,
                                          .type = std::move(type),
                                          .required = traits.required,
                                          .expands_environment = traits.expands_environment,
                                          .on_resume = traits.on_resume.value_or(on_resume_),
                                          .before_it_was = traits.before_it_was,
                                          .get = {},
                                          .set = {}});
  }

  Section& section_;
  Reach reach_;
  OnResume on_resume_;
};

/// The sections that stand in declare_evaluation.cpp.
Section declare_evaluation();
Section declare_generation();

}  // namespace foresight
