// A tokenizer against what the `tokenizers` library made of many texts.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/text/tokenizer.h"

namespace foresight {

/// Shows a text in a message even when it holds control characters.
inline std::string shown(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true);
}

/// The tokenizer of tests/reference/tokenizer/`name`.
Tokenizer load_fixture(const std::string& name);

/// CHECKs ids, ends, special ids and decoded texts. `fixture` is a fixture.json of make_fixture.py, `texts`
/// its lines.
void compare_with_fixture(const Tokenizer& tokenizer, const nlohmann::json& fixture,
                          const nlohmann::json& texts);

}  // namespace foresight
