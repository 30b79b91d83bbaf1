// Rows of text to rows of tokens.
#pragma once

#include "data/trace_rows.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Prompt and completion are tokenized together, as the model would read them; a token belongs to the
/// completion when its last byte does. Given tokens are taken as they are, all of them completion. No
/// beginning-of-sequence token is added. Throws Error(kInput), naming the row's source, on invalid UTF-8 and
/// on token ids outside the vocabulary.
TokenRow tokenize_row(const Tokenizer& tokenizer, const TraceRow& row);

}  // namespace foresight
