// Rows of prompt and trace files (JSONL), and packing them to traces. Free of torch and of the tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace foresight {

/// A chat message.
struct ChatMessage {
  std::string role;
  std::string content;
};

/// One row of a trace file: text to tokenize, or tokens.
struct TraceRow {
  std::string prompt;                ///< may be empty
  std::string completion;            ///< the text after the prompt; for a `text` row the whole text
  std::vector<std::int32_t> tokens;  ///< given tokens instead of text; empty otherwise
  std::string source;                ///< "file.jsonl:17"
};

/// One row of a prompt file.
struct PromptRow {
  std::string prompt;  ///< plain text; empty when messages are given
  std::vector<ChatMessage> messages;
  std::string answer;  ///< optional
  std::string source;
};

/// Reads trace rows: `text` | `prompt`+`completion` | `tokens` | GSM8K (`question`+`answer`, calculator marks
/// <<...>> removed, joined as "Question: ...\nAnswer: ...\n\n") | AIME (`problem` or `question`, `solution`,
/// the same way). Throws Error(kInput) naming file and line: not JSON, not UTF-8, no known keys, wrong types,
/// negative tokens.
std::vector<TraceRow> read_trace_rows(const std::filesystem::path& file);
/// Reads prompt rows: `prompt` | `messages` | `question` | `problem`, and `answer`. Of messages those count
/// that come before the assistant's last turns, which would give the answer away; beside `problem` or
/// `question` one of them must hold its text. Throws Error(kInput) naming file and line, as above.
std::vector<PromptRow> read_prompt_rows(const std::filesystem::path& file);

/// A tokenized row.
struct TokenRow {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> completion;  ///< 1 where the token belongs to the completion; same length
  std::string source;
};

/// Packs rows in order: traces of exactly `trace_tokens`; each starts at a row's start (after `first_token`
/// when >= 0: the beginning-of-sequence token where the tokenizer asks for one); the row that is cut is
/// dropped from the next trace; the last, unfilled trace is dropped. With pack == false each row is a trace,
/// cut at trace_tokens. Stops after max_traces (<= 0: all). The trace's source names first and last row.
std::vector<TokenRow> pack_rows(const std::vector<TokenRow>& rows, bool pack, std::int64_t trace_tokens,
                                std::int64_t max_traces, std::int32_t first_token);

/// Sources of rows that stand in both sets (same prompt+completion text or same tokens): "a.jsonl:3 =
/// b.jsonl:9".
std::vector<std::string> overlapping_rows(const std::vector<TraceRow>& train,
                                          const std::vector<TraceRow>& evaluation);

}  // namespace foresight
