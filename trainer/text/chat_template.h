// Chat messages to prompt text.
#pragma once

#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/trace_rows.h"

namespace foresight {

/// What a template gets besides the messages.
struct ChatOptions {
  /// More names by value, as apply_chat_template's keyword arguments: {"enable_thinking": false},
  /// {"date_string": "26 Jul 2024"}.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  /// The date of strftime_now(); if it is not given, the date that the template was loaded with. Without
  /// either, the function does not exist: templates that test for it use a fixed date of their own, so that
  /// prompts do not change from day to day; other templates that call it are refused.
  std::optional<std::tm> now = std::nullopt;
  bool add_generation_prompt = true;
};

/// A model's chat template: a Jinja program, run as transformers' apply_chat_template does, in the part of
/// Jinja that the templates of the model families use (Llama 2 to 3.3, SmolLM2 and 3, Mistral, Qwen2 to
/// Qwen3, DeepSeek-R1, Phi, Gemma, OLMo, gpt-oss; jinja_syntax.h and jinja_functions.h say which). Anything
/// else is refused by name. Immutable, thread-safe.
class ChatTemplate {
 public:
  /// Reads chat_template.jinja, or chat_template in tokenizer_config.json. For a folder without one, render()
  /// throws; for a template with an unsupported statement or form, this logs a warning and render() throws.
  /// `date` ("2026-11-28", model.template_date): the date of strftime_now(); empty: none. Throws
  /// Error(kInput) on damaged files and for named templates without a default, Error(kConfig) if `date` is
  /// not a date.
  static ChatTemplate load(const std::filesystem::path& model_folder, const std::string& date = "");
  /// The prompt, ending where the assistant's answer begins (without add_generation_prompt: the conversation
  /// as it stands). A message goes to the template with all its fields. It holds the beginning-of-sequence
  /// token where the template writes it. Throws Error(kInput), naming file and line of the template: no
  /// template, no messages, what the template itself refuses (raise_exception), names without a value, and
  /// what is not supported.
  std::string render(const std::vector<ChatMessage>& messages, const ChatOptions& options = {}) const;
  /// Whether the model has a template that could be read. It may still refuse some messages.
  bool can_render() const { return program_ != nullptr; }

 private:
  struct Program;

  std::string source_;
  std::string refusal_;  // why there is no program_
  std::size_t template_bytes_ = 0;
  std::optional<std::tm> now_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;  // "bos_token" and the like
  std::shared_ptr<const Program> program_;
};

}  // namespace foresight
