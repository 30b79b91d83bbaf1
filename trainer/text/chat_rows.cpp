#include "trainer/text/chat_rows.h"

#include <algorithm>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

std::string render(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                   const nlohmann::ordered_json& variables, bool add_generation_prompt,
                   const std::string& source) {
  ChatOptions options;
  options.add_generation_prompt = add_generation_prompt;
  if (variables.is_object()) options.variables = variables;
  try {
    return chat.render(messages, options);
  } catch (const Error& error) {
    throw Error(error.kind(), concat(source, ": ", error.what()));
  }
}

/// Length of the start that both share, at the border of a character.
std::size_t shared_start(const std::string& one, const std::string& two) {
  auto end = static_cast<std::size_t>(std::mismatch(one.begin(), one.end(), two.begin(), two.end()).first -
                                      one.begin());
  const auto inside_character = [&] {
    return end > 0 && end < one.size() && (static_cast<unsigned char>(one[end]) & 0xC0) == 0x80;
  };
  while (inside_character()) --end;
  return end;
}

}  // namespace

std::string prompt_text(const PromptRow& row, const ChatTemplate& chat, const std::string& instruction) {
  std::vector<ChatMessage> messages = row.messages;
  std::string text = instruction.empty() ? row.prompt : concat(row.prompt, "\n", instruction);
  const bool told = row.template_variables.is_object() && !row.template_variables.empty();
  if (messages.empty() && (chat.can_render() || told)) messages = {{"user", text}};
  if (messages.empty()) return text;
  return render(chat, messages, row.template_variables, /*add_generation_prompt=*/true, row.source);
}

TraceRow rendered_row(TraceRow row, const ChatTemplate& chat) {
  if (row.messages.empty()) return row;
  const std::string whole = render(chat, row.messages, row.template_variables, false, row.source);
  std::vector<ChatMessage> before = row.messages;
  before.pop_back();
  std::size_t border = 0;
  if (!before.empty()) {
    border = shared_start(whole, render(chat, before, row.template_variables, true, row.source));
  }
  row.prompt = whole.substr(0, border);
  row.completion = whole.substr(border);
  row.messages.clear();
  return row;
}

}  // namespace foresight
