// Model folders for the tests of trainer/model_files.
#pragma once

#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
#include "trainer/base/text.h"

namespace foresight {

/// A config.json with the keys that must be there; `more` goes in front ("\"head_dim\": 4, ").
inline std::string least_config(const std::string& more = "") {
  return concat("{", more,
                R"("architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "num_attention_heads": 4,)",
                R"("hidden_size": 32, "intermediate_size": 48, "vocab_size": 97})");
}

}  // namespace foresight
