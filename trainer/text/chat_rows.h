// Rows of chat messages to text, by a model's chat template.
#pragma once

#include <string>

#include "data/trace_rows.h"
#include "trainer/text/chat_template.h"

namespace foresight {

/// The text that a model is prompted with: the row's messages rendered, with all their fields and the row's
/// template variables. A plain prompt (followed by `instruction` on a line of its own, if there is one)
/// becomes a user's message if the model has a chat template, and stays as it is otherwise. Throws
/// Error(kInput), naming the row, if the template refuses it, and for template variables without a template.
std::string prompt_text(const PromptRow& row, const ChatTemplate& chat, const std::string& instruction = "");

/// A training row with its messages rendered: the completion is the last message, up to the end of the
/// conversation as the template writes it; the prompt is what the template writes the same without it. A row
/// without messages stays. Throws Error(kInput), naming the row, if the template refuses it.
TraceRow rendered_row(TraceRow row, const ChatTemplate& chat);

}  // namespace foresight
