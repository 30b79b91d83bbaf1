// Chat messages to prompt text.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/trace_rows.h"

namespace foresight {

/// A chat template that is known by name. Templates are Jinja programs; instead of running one, its text is
/// compared, after canonical_template(), with the families known:
///   "ChatML"   SmolLM2, Qwen2: every message as <|im_start|>role, content, <|im_end|>; the template may name
///   a default system
///              message for conversations that do not begin with one;
///   "Qwen2.5"  the same text, written with branches for tools (roles system, user and assistant only);
///   "Llama-3"  begin token, then role headers and trimmed contents (not 3.1 and later, which add a date).
class ChatTemplate {
 public:
  /// Reads chat_template.jinja, or chat_template in tokenizer_config.json. A folder without one gives a
  /// template that render() refuses. An unknown template is refused by render() with Error(kInput) naming the
  /// file and the families known.
  static ChatTemplate load(const std::filesystem::path& model_folder);
  /// The prompt, ending where the assistant's answer begins. It holds the beginning-of-sequence token where
  /// the template writes it. Throws Error(kInput) when there is nothing to render or a role is not known to
  /// the family.
  std::string render(const std::vector<ChatMessage>& messages) const;
  /// "ChatML", "Qwen2.5" or "Llama-3"; empty where render() refuses.
  const std::string& family() const { return family_; }

 private:
  void recognise(const std::string& text);

  std::string family_, default_system_, source_;
  std::string beginning_;  // the text of the beginning-of-sequence token
  bool has_default_system_ = false, found_ = false;
};

}  // namespace foresight
