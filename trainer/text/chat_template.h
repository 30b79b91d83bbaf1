// Chat messages to prompt text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/trace_rows.h"

namespace foresight {

/// The families whose template is known by name; recognised by the template's text.
class ChatTemplate {
 public:
  /// Reads chat_template.jinja, or chat_template in tokenizer_config.json. A folder without one gives a template that
  /// render() refuses. An unknown template is refused by render() with Error(kInput) naming the file and the families known.
  static ChatTemplate load(const std::filesystem::path& model_folder);
  /// The prompt, ending where the assistant's answer begins.
  std::string render(const std::vector<ChatMessage>& messages) const;
  const std::string& family() const { return family_; }

 private:
  std::string family_, default_system_, source_;
};

}  // namespace foresight
