// What the JSON of `runs` and `compare` holds where JSON has no such value.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/base/text.h"

namespace foresight {

/// Null for what JSON has no number for.
inline nlohmann::ordered_json number_or_null(double number) {
  return std::isfinite(number) ? nlohmann::ordered_json(number) : nlohmann::ordered_json();
}

/// A path or a value, which need not be UTF-8, as JSON must be: on one line, with damaged bytes replaced.
inline std::string json_text(const std::string& text) {
  constexpr std::size_t kMostBytes = 4096;
  return one_line(text, kMostBytes);
}

}  // namespace foresight
