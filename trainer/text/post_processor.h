// Tokens that a tokenizer puts around every text.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/text/vocabulary.h"

namespace foresight {

/// What encode(..., add_special_tokens) adds.
struct PostProcessor {
  std::vector<std::int32_t> before, behind;

  /// From tokenizer.json's "post_processor": null, ByteLevel (adds nothing), TemplateProcessing ("single"
  /// counts) or a Sequence of them. Throws Error(kInput) naming any other, and template tokens that the
  /// vocabulary lacks.
  static PostProcessor from_json(const nlohmann::json& description, const Vocabulary& vocabulary,
                                 const std::string& where);
};

}  // namespace foresight
