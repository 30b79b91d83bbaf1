#include "data/trace_rows.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "data/json_lines.h"
#include "trainer/base/error.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

using Json = nlohmann::ordered_json;

/// GSM8K's calculator marks, "<<48/2=24>>", are not part of the text. A mark stays on its line.
std::string without_calculator_marks(std::string_view text) {
  std::string clean;
  while (true) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    while (true) {
      const std::size_t open = line.find("<<");
      const std::size_t close = open == std::string_view::npos ? open : line.find(">>", open + 2);
      if (close == std::string_view::npos) break;
      clean.append(line.substr(0, open));
      line.remove_prefix(close + 2);
    }
    clean.append(line);
    if (end == std::string_view::npos) return clean;
    clean += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string question_prompt(const std::string& question) {
  return concat("Question: ", question, "\nAnswer:");
}

std::vector<std::int32_t> read_tokens(const RowReader& row) {
  const Json& values = row.at("tokens");
  if (!values.is_array())
    row.fail(concat("\"tokens\": expected a list of integers, got ", values.type_name()));
  std::vector<std::int32_t> tokens;
  tokens.reserve(values.size());
  for (const Json& value : values) {
    const bool in_range =
        value.is_number_unsigned() &&
        value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int32_t>::max()};
    if (!in_range) {
      row.fail(concat("\"tokens\"[", tokens.size(), "]: expected an integer from 0 to 2147483647, got ",
                      value.is_structured() ? value.type_name() : one_line(value.dump())));
    }
    tokens.push_back(value.get<std::int32_t>());
  }
  return tokens;
}

/// The JSON in a string (data sets so store what differs from row to row); other values and other strings are
/// returned as they are.
Json unpacked(const Json& value) {
  constexpr int kMaxDepth = 32;
  if (!value.is_string()) return value;
  try {
    return parse_ordered_json_strictly(value.get_ref<const std::string&>(), "", kMaxDepth);
  } catch (const Error&) {
    return value;
  }
}

/// A list of objects. It may be JSON in a string, and so may each of its items.
Json objects_of(const RowReader& row, const Json& value, const std::string& name) {
  Json list = unpacked(value);
  bool good = list.is_array();
  for (std::size_t i = 0; good && i < list.size(); ++i) {
    list[i] = unpacked(list[i]);
    good = list[i].is_object();
  }
  if (!good) row.fail(concat(name, ": expected a list of objects, or one as JSON in a string"));
  return list;
}

/// A message as the chat template gets it.
ChatMessage read_message(const RowReader& row, const Json& value, const std::string& name) {
  const bool calls = value.is_object() && value.contains("tool_calls");
  if (!value.is_object() || !value.contains("role") || !(value.contains("content") || calls)) {
    row.fail(concat(name, ": expected an object with \"role\" and \"content\""));
  }
  ChatMessage message;
  message.role = row.string_of(value.at("role"), name + ".role");
  const Json content = value.value("content", Json());
  const bool is_text = content.is_string();
  if (!is_text && !content.is_array() && !(content.is_null() && calls))
    message.content = row.string_of(content, name + ".content");
  if (is_text) message.content = content.get<std::string>();
  if (!is_text || value.size() > 2) message.fields = value;
  if (calls && !value.at("tool_calls").is_null())  // a template that gets a text goes through its letters
    message.fields["tool_calls"] = objects_of(row, value.at("tool_calls"), name + ".tool_calls");
  return message;
}

std::vector<ChatMessage> read_messages(const RowReader& row, const char* key) {
  const Json& values = row.at(key);
  if (!values.is_array() || values.empty())
    row.fail(concat("\"", key, "\": expected a list of {\"role\", \"content\"}"));
  std::vector<ChatMessage> messages;
  for (const Json& value : values)
    messages.push_back(read_message(row, value, concat("\"", key, "\"[", messages.size(), "]")));
  return messages;
}

/// The template variables of a row, besides its messages.
Json read_template_variables(const RowReader& row) {
  Json variables = Json::object();
  for (const char* key : {"tools", "documents"}) {
    if (!row.has(key)) continue;
    const std::string name = concat("\"", key, "\"");
    Json value = unpacked(row.at(key));
    if (!value.is_array()) row.fail(concat(name, ": expected a list, or one as JSON in a string"));
    if (std::string_view(key) == "tools") value = objects_of(row, value, name);
    if (!value.empty()) variables[key] = std::move(value);
  }
  if (!row.has("chat_template_kwargs")) return variables;
  const Json more = unpacked(row.at("chat_template_kwargs"));
  if (!more.is_object()) row.fail("\"chat_template_kwargs\": expected an object, or one as JSON in a string");
  for (const auto& [name, value] : more.items()) variables[name] = value;
  return variables;
}

const char* question_key(const RowReader& row) {
  return row.has("problem") ? "problem" : row.has("question") ? "question" : nullptr;
}

/// A conversation; its last message is the completion.
void read_conversation(const RowReader& row, TraceRow& trace) {
  if (row.has("messages")) {
    trace.messages = read_messages(row, "messages");
  } else {
    trace.messages = read_messages(row, "prompt");
    if (row.has_list("completion")) {
      for (ChatMessage& message : read_messages(row, "completion"))
        trace.messages.push_back(std::move(message));
    } else {
      trace.messages.push_back({"assistant", row.text("completion")});
    }
  }
  trace.template_variables = read_template_variables(row);
  if (trace.messages.back().role != "assistant") {
    row.fail(concat(
        "the last message is from \"", one_line(trace.messages.back().role),
        "\"; a training row ends with the assistant's: rows with only a prompt belong to traces.prompts"));
  }
}

/// Tokens, with their text in rows that foresight wrote.
void read_token_row(const RowReader& row, TraceRow& trace) {
  trace.tokens = read_tokens(row);
  if (!row.has("prompt_tokens")) return;
  const Json& count = row.at("prompt_tokens");
  if (!count.is_number_unsigned() || count.get<std::uint64_t>() > trace.tokens.size()) {
    row.fail(concat("\"prompt_tokens\": expected an integer from 0 to the ", trace.tokens.size(),
                    " of \"tokens\", got ", one_line(count.dump())));
  }
  trace.prompt_tokens = count.get<std::int64_t>();
  trace.prompt = row.text("prompt");
  trace.completion = row.text("completion");
}

TraceRow parse_trace_row(RowReader& row) {
  TraceRow trace;
  const char* question = question_key(row);
  if (row.has_list("tokens")) {
    read_token_row(row, trace);
  } else if (row.has("prompt") && row.has("completion")) {
    if (row.has_list("prompt")) {
      read_conversation(row, trace);
    } else {
      trace.prompt = row.text("prompt");
      trace.completion = row.text("completion");
    }
  } else if (row.has("text")) {
    trace.completion = row.text("text");
  } else if (row.has("messages")) {
    read_conversation(row, trace);
  } else if (row.has("completion")) {
    row.text("prompt");                                     // throws that it is missing
  } else if (question != nullptr && row.has("solution")) {  // AIME has "answer" too
    trace.prompt = question_prompt(row.text(question));
    trace.completion = concat(" ", without_calculator_marks(row.text("solution")), "\n\n");
  } else if (row.has("question") && row.has("answer")) {
    trace.prompt = question_prompt(row.text("question"));
    trace.completion = concat(" ", without_calculator_marks(row.text_or_number("answer")), "\n\n");
  } else if (row.has("tokens")) {
    row.fail(concat("\"tokens\": expected a list of integers, got ", row.at("tokens").type_name()));
  } else {
    row.fail(
        "no known keys; a trace row has \"tokens\", \"text\", \"prompt\" and \"completion\", \"messages\", "
        "\"question\" and \"answer\", or \"problem\" (or \"question\") and \"solution\"");
  }
  return trace;
}

/// The text of a message, that of all its parts where it has several.
std::string text_of(const ChatMessage& message) {
  if (!message.fields.is_object() || !message.fields.contains("content")) return message.content;
  const Json& content = message.fields.at("content");
  if (!content.is_array()) return message.content;
  std::string text;
  for (const Json& part : content) {
    if (part.is_object() && part.contains("text") && part.at("text").is_string())
      text += part.at("text").get<std::string>();
  }
  return text;
}

/// The messages that a model answers. Messages of the assistant at the end of "messages" are an answer, not a
/// part of the prompt. A "prompt" that ends so asks the model to continue that message, which is refused.
std::vector<ChatMessage> read_prompt_messages(const RowReader& row, const char* list) {
  std::vector<ChatMessage> messages = read_messages(row, list);
  if (messages.back().role == "assistant" && std::string_view(list) == "prompt") {
    row.fail(
        "\"prompt\" ends with a message of the assistant, which the model would have to continue; remove "
        "that message, or name the column \"messages\" if it is an answer");
  }
  while (!messages.empty() && messages.back().role == "assistant") messages.pop_back();
  if (messages.empty())
    row.fail(concat("\"", list,
                    "\" hold only turns of the assistant; a prompt begins with a turn of another role"));
  for (const char* key : {"problem", "question"}) {
    if (!row.has(key)) continue;
    const std::string text = row.text(key);
    const bool asked = std::any_of(messages.begin(), messages.end(), [&](const ChatMessage& message) {
      return text_of(message).find(text) != std::string::npos;
    });
    if (!asked) row.fail(concat("\"", list, "\" do not hold the text of \"", key, "\"; keep one of the two"));
  }
  return messages;
}

PromptRow parse_prompt_row(RowReader& row) {
  PromptRow prompt;
  if (row.has("messages") && row.has("prompt"))
    row.fail("has both \"messages\" and \"prompt\"; keep one of them");
  if (row.has("messages")) {
    prompt.messages = read_prompt_messages(row, "messages");
  } else if (row.has_list("prompt")) {
    prompt.messages = read_prompt_messages(row, "prompt");
  } else if (row.has("prompt")) {
    prompt.prompt = row.text("prompt");
    if (prompt.prompt.empty()) row.fail("\"prompt\" is empty");
  } else if (const char* question = question_key(row)) {
    prompt.prompt = question_prompt(row.text(question));
  } else {
    row.fail("no known keys; a prompt row has \"prompt\", \"messages\", \"question\" or \"problem\"");
  }
  if (row.has("answer")) prompt.answer = without_calculator_marks(row.text_or_number("answer"));
  prompt.template_variables = read_template_variables(row);
  prompt.columns = row.take();
  for (const char* key : {"prompt", "messages", "tools", "documents", "chat_template_kwargs"})
    prompt.columns.erase(key);
  return prompt;
}

template <class Row>
std::vector<Row> read_rows(const std::filesystem::path& file, Row (*parse)(RowReader&)) {
  std::vector<Row> rows;
  for_each_line(file, [&](const std::string& line, std::int64_t line_number) {
    RowReader reader(line, concat(file.string(), ":", line_number));
    Row row = parse(reader);
    row.source = concat(file.filename().string(), ":", line_number);
    rows.push_back(std::move(row));
  });
  if (rows.empty()) throw Error(ErrorKind::kInput, concat(file.string(), ": holds no rows"));
  return rows;
}

/// The key by which rows are compared: their text, or else their tokens; the first byte says which.
std::string identity(const TraceRow& row) {
  if (row.tokens.empty() || row.prompt_tokens >= 0) return concat("t", row.prompt, row.completion);
  const auto* bytes = reinterpret_cast<const char*>(row.tokens.data());
  return concat("i", std::string_view(bytes, row.tokens.size() * sizeof(std::int32_t)));
}

}  // namespace

std::vector<TraceRow> read_trace_rows(const std::filesystem::path& file) {
  return read_rows<TraceRow>(file, parse_trace_row);
}

std::vector<PromptRow> read_prompt_rows(const std::filesystem::path& file) {
  return read_rows<PromptRow>(file, parse_prompt_row);
}

std::vector<std::string> overlapping_rows(const std::vector<TraceRow>& train,
                                          const std::vector<TraceRow>& evaluation) {
  std::unordered_map<std::string, const std::string*> sources;
  for (const TraceRow& row : train) sources.emplace(identity(row), &row.source);
  std::vector<std::string> overlaps;
  for (const TraceRow& row : evaluation) {
    const auto found = sources.find(identity(row));
    if (found != sources.end()) overlaps.push_back(concat(*found->second, " = ", row.source));
  }
  return overlaps;
}

}  // namespace foresight
