// Rows of text to rows of tokens.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/trace_rows.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Prompt and completion are tokenized together, as the model would read them; a token belongs to the
/// completion when its last byte does. Given tokens are used as they are: those from number prompt_tokens on
/// are the completion, or all of them without prompt_tokens. Where prompt_tokens and the text are there too,
/// and the tokens are not this tokenizer's for that text (it was edited since, or another model wrote it),
/// the text counts. No beginning-of-sequence token is added. Throws Error(kInput), naming the row's source,
/// on invalid UTF-8 and on token ids outside the vocabulary.
TokenRow tokenize_row(const Tokenizer& tokenizer, const TraceRow& row);

/// Tokens of a prompt as generation reads it: the beginning-of-sequence token in front where the tokenizer
/// asks for one and the text does not begin with it (chat templates of some families write it). Throws
/// Error(kInput) on invalid UTF-8.
std::vector<std::int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view text);

/// The text of generated tokens that follow a prompt. The blank with which a completion of a
/// SentencePiece-like tokenizer begins is kept. Special tokens have their text, and incomplete UTF-8 becomes
/// the character U+FFFD.
std::string completion_text(const Tokenizer& tokenizer, std::span<const std::int32_t> tokens);

}  // namespace foresight
