// Unicode normalisation before tokenizing.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/text/normalized_text.h"

namespace foresight {

/// Steps in order: NFC (canonical composition, by ICU), Prepend, Replace of one text by another. Immutable,
/// thread-safe.
class Normalizer {
 public:
  /// From tokenizer.json's "normalizer": null, one of the steps, or a Sequence of them. Throws Error(kInput)
  /// naming any other.
  static Normalizer from_json(const nlohmann::json& description, const std::string& where);
  /// `text` must be valid UTF-8.
  NormalizedText apply(std::string_view text) const;

 private:
  enum class StepKind { kNfc, kPrepend, kReplace };
  struct Step {
    StepKind kind;
    std::string pattern, content;  // kPrepend: content alone
  };

  void add_step(const nlohmann::json& description, const std::string& where);

  std::vector<Step> steps_;
  std::size_t growth_ = 1;  // how many times as long the steps may make a text
};

}  // namespace foresight
