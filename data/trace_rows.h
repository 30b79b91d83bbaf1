// Rows of prompt and trace files (JSONL), and packing them to traces. Free of torch and of the tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace foresight {

/// A chat message.
struct ChatMessage {
  std::string role;
  std::string content;  ///< empty if it is not a string
  /// The whole message, for the template, if it has more than role and text (tool_calls, reasoning_content, a
  /// list of parts); null otherwise.
  nlohmann::ordered_json fields = nullptr;
};

/// One row of a trace file: text to tokenize, messages to render, or tokens.
struct TraceRow {
  std::string prompt;                ///< may be empty
  std::string completion;            ///< the text after the prompt; for a `text` row the whole text
  std::vector<std::int32_t> tokens;  ///< given tokens instead of text; empty otherwise
  std::string source;                ///< "file.jsonl:17"
  /// How many of `tokens` at the start belong to the prompt; `prompt` and `completion` are then their text.
  /// -1: tokens without a text.
  std::int64_t prompt_tokens = -1;
  std::vector<ChatMessage> messages = {};          ///< to be rendered (trainer/text/chat_rows.h)
  nlohmann::ordered_json template_variables = {};  ///< further variables of the template
};

/// One row of a prompt file.
struct PromptRow {
  std::string prompt;  ///< plain text; empty when messages are given
  std::vector<ChatMessage> messages;
  std::string answer;  ///< optional
  std::string source;
  nlohmann::ordered_json template_variables = {};  ///< tools, documents and chat_template_kwargs by name
  nlohmann::ordered_json columns = {};             ///< the row's other columns, in their order
};

/// Reads trace rows: `tokens` (with `prompt_tokens`, `prompt` and `completion` as `foresight traces` writes
/// them) | `prompt`+`completion` (texts, or lists of messages) | `text` | `messages` that end with the
/// assistant's | GSM8K (`question`+`answer`, calculator marks <<...>> removed, joined as "Question:
/// ...\nAnswer: ...\n\n") | AIME (`problem` or `question`, `solution`, the same way; its keys may be in
/// capitals). Other columns are not read. Throws Error(kInput) naming file and line: not JSON, not UTF-8, no
/// known keys, wrong types, negative tokens.
std::vector<TraceRow> read_trace_rows(const std::filesystem::path& file);
/// Reads prompt rows: `prompt` (a text, or a list of messages) | `messages` | `question` | `problem`, with
/// `answer` (a text or a number) if it is known. Messages of the assistant at the end are left out, because
/// they would give the answer away; if there is a `problem` or `question` too, one of the other messages must
/// contain its text. Messages go to the chat template as they are, with `tools`, `documents` and the names in
/// `chat_template_kwargs`; other columns are kept. Throws as above.
std::vector<PromptRow> read_prompt_rows(const std::filesystem::path& file);

/// A tokenized row.
struct TokenRow {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> completion;  ///< 1 where the token belongs to the completion; same length
  std::string source;
};

/// Packs rows in order: traces of exactly `trace_tokens`; each begins with a row's start (after `first_token`
/// if >= 0: the beginning-of-sequence token of a tokenizer that has one). The rest of a cut row is not used,
/// nor is the last, unfilled trace. With pack == false each row is a trace, cut at trace_tokens. Stops after
/// max_traces (<= 0: all). The trace's source names first and last row.
std::vector<TokenRow> pack_rows(const std::vector<TokenRow>& rows, bool pack, std::int64_t trace_tokens,
                                std::int64_t max_traces, std::int32_t first_token);

/// Sources of rows that are in both sets (same prompt+completion text or same tokens): "a.jsonl:3 =
/// b.jsonl:9".
std::vector<std::string> overlapping_rows(const std::vector<TraceRow>& train,
                                          const std::vector<TraceRow>& evaluation);

}  // namespace foresight
