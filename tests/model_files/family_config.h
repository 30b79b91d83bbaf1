// Configs of one family, and what the program reads from them or says of their faults.
#pragma once

#include <string>

#include "tests/model_files/support.h"
#include "trainer/model_files/model_shape.h"

namespace foresight {

/// config.json of `layers` layers, four heads of 8 dimensions, that a text of 64 tokens fits; `more` are its
/// other members, each with a comma behind it.
inline std::string family_config(const std::string& architecture, const std::string& more, int layers) {
  std::string config = least_config(more + R"("num_key_value_heads": 2, "max_position_embeddings": 64, )");
  config.replace(config.find("LlamaForCausalLM"), 16, architecture);
  config.replace(config.find("\"num_hidden_layers\": 2"), 22,
                 "\"num_hidden_layers\": " + std::to_string(layers));
  return config;
}

/// The shape that is read from such a config.
inline ModelShape family_shape(const std::string& architecture, const std::string& more, int layers) {
  const TemporaryFolder folder;
  folder.write("config.json", family_config(architecture, more, layers));
  return read_model_shape(folder.path());
}

/// What is said of such a config; it must name file and key.
inline std::string family_fault(const std::string& architecture, const std::string& more, int layers) {
  std::string message = error_of(ErrorKind::kInput, [&] { family_shape(architecture, more, layers); });
  CHECK_THAT(message, Catch::Contains("config.json: key '"));
  return message;
}

}  // namespace foresight
