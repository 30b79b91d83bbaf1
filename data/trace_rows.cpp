#include "data/trace_rows.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "trainer/base/error.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;
constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr int kMaxJsonDepth = 32;

/// Calls `use(line, line_number)` for every line that is not blank, holding one line at a time.
void for_each_line(const std::filesystem::path& file,
                   const std::function<void(const std::string&, std::int64_t)>& use) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorKind::kInput, concat(file.string(), ": cannot be opened; check the path"));
  std::string line, block(kReadBytes, '\0');
  std::int64_t line_number = 1;
  const auto end_line = [&] {
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) use(line, line_number);
    line.clear();
    ++line_number;
  };
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    std::string_view rest(block.data(), static_cast<std::size_t>(in.gcount()));
    while (!rest.empty()) {
      const std::size_t newline = rest.find('\n');
      line.append(rest.substr(0, newline));
      if (line.size() > kMaxLineBytes) {
        throw Error(ErrorKind::kInput, concat(file.string(), ":", line_number, ": the line is longer than ",
                                              kMaxLineBytes >> 20, " MiB; one row stands on each line"));
      }
      if (newline == std::string_view::npos) break;
      rest.remove_prefix(newline + 1);
      end_line();
    }
  }
  if (in.bad())
    throw Error(ErrorKind::kInput, concat(file.string(), ": cannot be read; check that it is a file"));
  end_line();
}

/// One JSON object with typed access; a null value counts as absent.
class RowReader {
 public:
  RowReader(const std::string& line, std::string where) : where_(std::move(where)) {
    const std::size_t invalid = first_invalid_utf8(line);
    if (invalid != std::string_view::npos) {
      fail(concat("not UTF-8 at byte ", invalid, " of the line; save the file as UTF-8"));
    }
    row_ = parse_json_strictly(line, where_, kMaxJsonDepth);
    if (!row_.is_object()) fail(concat("expected a JSON object, got ", row_.type_name()));
  }

  bool has(const char* key) const {
    const auto found = row_.find(key);
    return found != row_.end() && !found->is_null();
  }

  const Json& at(const char* key) const { return row_.at(key); }

  /// The string under `key`. Throws when it is absent or something else.
  std::string text(const char* key) const {
    if (!has(key)) fail(concat("has no \"", key, "\""));
    return string_of(row_.at(key), concat("\"", key, "\""));
  }

  std::string string_of(const Json& value, const std::string& name) const {
    if (!value.is_string()) fail(concat(name, ": expected a string, got ", value.type_name()));
    return value.get<std::string>();
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kInput, concat(where_, ": ", message));
  }

 private:
  std::string where_;
  Json row_;
};

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

TraceRow parse_trace_row(const RowReader& row) {
  TraceRow trace;
  if (row.has("tokens")) {
    trace.tokens = read_tokens(row);
  } else if (row.has("text")) {
    trace.completion = row.text("text");
  } else if (row.has("completion")) {
    trace.prompt = row.text("prompt");
    trace.completion = row.text("completion");
  } else if ((row.has("problem") || row.has("question")) && row.has("solution")) {  // AIME has "answer" too
    trace.prompt = question_prompt(row.text(row.has("problem") ? "problem" : "question"));
    trace.completion = concat(" ", without_calculator_marks(row.text("solution")), "\n\n");
  } else if (row.has("question") && row.has("answer")) {
    trace.prompt = question_prompt(row.text("question"));
    trace.completion = concat(" ", without_calculator_marks(row.text("answer")), "\n\n");
  } else {
    row.fail(
        "no known keys; a trace row has \"tokens\", \"text\", \"prompt\" and \"completion\", \"question\" "
        "and "
        "\"answer\", or \"problem\" (or \"question\") and \"solution\"");
  }
  return trace;
}

std::vector<ChatMessage> read_messages(const RowReader& row) {
  const Json& values = row.at("messages");
  if (!values.is_array() || values.empty())
    row.fail("\"messages\": expected a list of {\"role\", \"content\"}");
  std::vector<ChatMessage> messages;
  for (const Json& value : values) {
    const std::string name = concat("\"messages\"[", messages.size(), "]");
    if (!value.is_object() || !value.contains("role") || !value.contains("content")) {
      row.fail(concat(name, ": expected an object with \"role\" and \"content\""));
    }
    messages.push_back({row.string_of(value.at("role"), name + ".role"),
                        row.string_of(value.at("content"), name + ".content")});
  }
  return messages;
}

/// The messages that a model answers. Turns of the assistant at the end are an answer, not a part of the
/// prompt.
std::vector<ChatMessage> read_prompt_messages(const RowReader& row) {
  std::vector<ChatMessage> messages = read_messages(row);
  while (!messages.empty() && messages.back().role == "assistant") messages.pop_back();
  if (messages.empty())
    row.fail("\"messages\" hold turns of the assistant alone; a prompt begins with another's");
  for (const char* key : {"problem", "question"}) {
    if (!row.has(key)) continue;
    const std::string text = row.text(key);
    const bool asked = std::any_of(messages.begin(), messages.end(), [&](const ChatMessage& message) {
      return message.content.find(text) != std::string::npos;
    });
    if (!asked) row.fail(concat("\"messages\" do not hold the text of \"", key, "\"; keep one of the two"));
  }
  return messages;
}

PromptRow parse_prompt_row(const RowReader& row) {
  PromptRow prompt;
  if (row.has("messages") && row.has("prompt"))
    row.fail("has both \"messages\" and \"prompt\"; keep one of them");
  if (row.has("messages")) {
    prompt.messages = read_prompt_messages(row);
  } else if (row.has("prompt")) {
    prompt.prompt = row.text("prompt");
    if (prompt.prompt.empty()) row.fail("\"prompt\" is empty");
  } else if (row.has("problem") || row.has("question")) {
    prompt.prompt = question_prompt(row.text(row.has("problem") ? "problem" : "question"));
  } else {
    row.fail("no known keys; a prompt row has \"prompt\", \"messages\", \"question\" or \"problem\"");
  }
  if (row.has("answer")) prompt.answer = without_calculator_marks(row.text("answer"));
  return prompt;
}

template <class Row>
std::vector<Row> read_rows(const std::filesystem::path& file, Row (*parse)(const RowReader&)) {
  std::vector<Row> rows;
  for_each_line(file, [&](const std::string& line, std::int64_t line_number) {
    Row row = parse(RowReader(line, concat(file.string(), ":", line_number)));
    row.source = concat(file.filename().string(), ":", line_number);
    rows.push_back(std::move(row));
  });
  if (rows.empty()) throw Error(ErrorKind::kInput, concat(file.string(), ": holds no rows"));
  return rows;
}

/// What makes two rows the same; a leading byte keeps tokens and text apart.
std::string identity(const TraceRow& row) {
  if (row.tokens.empty()) return concat("t", row.prompt, row.completion);
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
