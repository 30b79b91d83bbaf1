#include "data/trace_rows.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/input_error.h"

namespace foresight {
namespace {

/// A JSONL file in a fresh folder that goes away with the object.
class JsonlFile {
 public:
  explicit JsonlFile(const std::string& content, const std::string& name = "rows.jsonl") {
    path_ = folder_.write(name, content);
  }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  std::filesystem::path path_;
};

std::string trace_error(const std::string& content) {
  const JsonlFile file(content);
  return input_error([&] { read_trace_rows(file.path()); });
}

std::string prompt_error(const std::string& content) {
  const JsonlFile file(content);
  return input_error([&] { read_prompt_rows(file.path()); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

using Tokens = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("trace rows: every documented form is read", "[data]") {
  const JsonlFile file(
      "{\"text\": \"whole \\u00e9\"}\n"
      "\r\n"
      "{\"prompt\": \"p\", \"completion\": \"c\"}\r\n"
      "{\"tokens\": [3, 0, 2147483647], \"text\": \"not used\"}\n"
      "{\"question\": \"2+2?\", \"answer\": \"It is <<2+2=4>>4.\\n#### 4\"}\n"
      "{\"problem\": \"P\", \"question\": \"Q\", \"solution\": \"S\", \"answer\": \"7\", \"id\": 5}\n"
      "{\"question\": \"Q\", \"solution\": \"S\", \"answer\": null}");
  const std::vector<TraceRow> rows = read_trace_rows(file.path());
  REQUIRE(rows.size() == 6);
  CHECK(rows[0].prompt.empty());
  CHECK(rows[0].completion == "whole \xC3\xA9");
  CHECK(rows[0].source == "rows.jsonl:1");
  CHECK(rows[1].prompt == "p");
  CHECK(rows[1].completion == "c");
  CHECK(rows[1].source == "rows.jsonl:3");
  CHECK(rows[2].tokens == Tokens{3, 0, 2147483647});
  CHECK(rows[2].completion.empty());
  CHECK(rows[3].prompt == "Question: 2+2?\nAnswer:");
  CHECK(rows[3].completion == " It is 4.\n#### 4\n\n");
  CHECK(rows[4].prompt == "Question: P\nAnswer:");
  CHECK(rows[4].completion == " S\n\n");
  CHECK(rows[5].prompt == "Question: Q\nAnswer:");
  CHECK(rows[5].source == "rows.jsonl:7");
}

TEST_CASE("trace rows: calculator marks go, other angle brackets stay", "[data]") {
  const JsonlFile file(
      "{\"question\": \"q <<1>>\", \"answer\": \"<<1+1=2>>2 <<a<<b>>c<<open\"}\n"
      "{\"question\": \"q\", \"answer\": \"1 << 2\\n4 >> 1 <<x>>y\"}\n");
  const std::vector<TraceRow> rows = read_trace_rows(file.path());
  CHECK(rows[0].prompt == "Question: q <<1>>\nAnswer:");
  CHECK(rows[0].completion == " 2 c<<open\n\n");
  CHECK(rows[1].completion == " 1 << 2\n4 >> 1 y\n\n");
}

TEST_CASE("trace rows: what is wrong in a file is named with file and line", "[data]") {
  CHECK(contains(trace_error("{\"text\": \"a\"}\nnot json\n"), "rows.jsonl:2: "));
  CHECK(contains(trace_error("{\"text\": \"a\xFF\"}\n"), "rows.jsonl:1: not UTF-8 at byte 11"));
  CHECK(contains(trace_error("{\"text\": \"\\ud800\"}\n"), "rows.jsonl:1: "));
  CHECK(contains(trace_error("[1]\n"), "rows.jsonl:1: expected a JSON object, got array"));
  CHECK(contains(trace_error("{\"content\": \"a\"}\n"), "rows.jsonl:1: no known keys"));
  CHECK(contains(trace_error("{\"prompt\": \"a\"}\n"), "no known keys"));
  CHECK(contains(trace_error("{\"completion\": \"a\"}\n"), "has no \"prompt\""));
  CHECK(contains(trace_error("{\"text\": 5}\n"), "\"text\": expected a string, got number"));
  CHECK(contains(trace_error("{\"question\": [], \"answer\": \"\"}\n"),
                 "\"question\": expected a string, got array"));
  CHECK(contains(trace_error("{\"tokens\": \"1 2\"}\n"),
                 "\"tokens\": expected a list of integers, got string"));
  CHECK(contains(trace_error("{\"tokens\": [1, -2]}\n"), "\"tokens\"[1]: expected an integer"));
  CHECK(contains(trace_error("{\"tokens\": [1, 2147483648]}\n"), "got 2147483648"));
  CHECK(contains(trace_error("{\"tokens\": [1.0]}\n"), "got 1.0"));
  CHECK(contains(trace_error("{\"tokens\": [[1]]}\n"), "got array"));
  CHECK(contains(trace_error(" \n\n"), "holds no rows"));
  CHECK(contains(trace_error(std::string(100, '[') + "\n"), "rows.jsonl:1: "));
  const JsonlFile file("{}");
  CHECK(contains(input_error([&] { read_trace_rows(file.folder() / "absent.jsonl"); }),
                 "absent.jsonl: cannot be opened"));
  CHECK(contains(input_error([&] { read_trace_rows(file.folder()); }),
                 "is a folder and cannot be read as rows; name the JSONL files in it"));
}

TEST_CASE("trace rows: a line beyond 64 MiB is refused, one over several read blocks is read", "[data]") {
  CHECK(contains(trace_error("{\"text\": \"a\"}\n" + std::string((std::size_t{64} << 20) + 1, 'x')),
                 "rows.jsonl:2: the line is longer than 64 MiB"));
  const JsonlFile file("{\"text\": \"" + std::string(200000, 'y') + "\"}\n{\"text\": \"z\"}\n");
  const std::vector<TraceRow> rows = read_trace_rows(file.path());
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].completion == std::string(200000, 'y'));
  CHECK(rows[1].completion == "z");
}

TEST_CASE("trace rows: hostile rows are refused on one line", "[data]") {
  CHECK(contains(trace_error("{\"text\": \"a\", \"text\": \"b\"}\n"), "\"text\" occurs twice"));
  CHECK(contains(trace_error("{\"text\": " + std::string(1'000'000, '[') + "\n"), "nested deeper than 32"));
  CHECK(contains(trace_error("{\"tokens\": [\"a\\n\\u001b\"]}\n"), "expected an integer"));
  CHECK(trace_error("{\"tokens\": [\"" + std::string(1'000'000, 'x') + "\"]}\n").size() < 1000);
}

TEST_CASE("trace rows: calculator marks that never close take no time", "[data]") {
  // An earlier version took the square of the length: half a million of these took hours.
  const std::string open(1'000'000, '<');
  const JsonlFile file("{\"question\": \"q\", \"answer\": \"" + open + "\\n>>\"}\n");
  CHECK(read_trace_rows(file.path()).at(0).completion == " " + open + "\n>>\n\n");
}

TEST_CASE("prompt rows: plain prompts, messages and questions are read", "[data]") {
  const JsonlFile file(
      "{\"prompt\": \"Say hi\", \"answer\": \"hi\"}\n"
      "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": "
      "\"u\"}]}\n"
      "{\"question\": \"q\", \"answer\": \"<<1+1=2>>2\\n#### 2\"}\n"
      "{\"problem\": \"p\", \"solution\": \"s\", \"answer\": \"3\"}\n");
  const std::vector<PromptRow> rows = read_prompt_rows(file.path());
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].prompt == "Say hi");
  CHECK(rows[0].answer == "hi");
  CHECK(rows[0].source == "rows.jsonl:1");
  REQUIRE(rows[1].messages.size() == 2);
  CHECK(rows[1].prompt.empty());
  CHECK(rows[1].messages[1].role == "user");
  CHECK(rows[1].messages[1].content == "u");
  CHECK(rows[1].answer.empty());
  CHECK(rows[2].prompt == "Question: q\nAnswer:");
  CHECK(rows[2].answer == "2\n#### 2");
  CHECK(rows[3].prompt == "Question: p\nAnswer:");
  CHECK(rows[3].answer == "3");
}

TEST_CASE("prompt rows: the assistant's turns at the end of messages are not in the prompt", "[data]") {
  const std::string user = R"({"role": "user", "content": "What is 2+2?"})",
                    answer = R"({"role": "assistant", "content": "It is 4."})",
                    again = R"({"role": "user", "content": "And 3+3?"})",
                    tool = R"({"role": "tool", "content": "6"})";
  const auto messages_of = [](const std::vector<std::string>& turns, const std::string& more = "") {
    std::string list;
    for (const std::string& turn : turns) list += (list.empty() ? "" : ", ") + turn;
    const JsonlFile file("{\"messages\": [" + list + "]" + more + "}\n");
    std::vector<std::string> roles;
    const std::vector<PromptRow> rows = read_prompt_rows(file.path());
    for (const ChatMessage& message : rows.at(0).messages) roles.push_back(message.role);
    return roles;
  };
  using Roles = std::vector<std::string>;
  CHECK(messages_of({user, answer}) == Roles{"user"});
  CHECK(messages_of({user, answer}, R"(, "problem": "What is 2+2?", "solution": "4", "answer": "4")") ==
        Roles{"user"});
  CHECK(messages_of({user, answer, answer}, R"(, "question": "2+2")") == Roles{"user"});
  CHECK(messages_of({user, answer, again}) == Roles{"user", "assistant", "user"});
  CHECK(messages_of({user, answer, again, answer}) == Roles{"user", "assistant", "user"});
  CHECK(messages_of({user, answer, tool}) == Roles{"user", "assistant", "tool"});
  CHECK(contains(prompt_error("{\"messages\": [" + answer + "]}\n"), "only turns of the assistant"));
  // A problem that only stands in the answer is not asked.
  for (const char* key : {"problem", "question"}) {
    CHECK(contains(
        prompt_error("{\"messages\": [" + again + ", " + answer + "], \"" + key + "\": \"It is 4.\"}\n"),
        std::string("rows.jsonl:1: \"messages\" do not hold the text of \"") + key + "\""));
  }
}

TEST_CASE("prompt rows: what is wrong in a file is named with file and line", "[data]") {
  CHECK(contains(prompt_error("{\"text\": \"a\"}\n"), "rows.jsonl:1: no known keys"));
  CHECK(contains(prompt_error("{\"prompt\": \"\"}\n"), "\"prompt\" is empty"));
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"messages\": []}\n"), "both"));
  CHECK(contains(prompt_error("{\"messages\": []}\n"), "\"messages\": expected a list"));
  CHECK(contains(prompt_error("{\"messages\": \"a\"}\n"), "\"messages\": expected a list"));
  CHECK(contains(prompt_error("{\"messages\": [{\"role\": \"user\"}]}\n"),
                 "\"messages\"[0]: expected an object"));
  CHECK(contains(prompt_error("{\"messages\": [{\"role\": 1, \"content\": \"\"}]}\n"),
                 "\"messages\"[0].role: expected a string"));
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"answer\": [4]}\n"),
                 "\"answer\": expected a string, got array"));
  CHECK(contains(prompt_error("{\"messages\": [{\"role\": \"user\", \"content\": 5}]}\n"),
                 "\"messages\"[0].content: expected a string, got number"));
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"tools\": {}}\n"), "\"tools\": expected a list"));
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"tools\": \"none\"}\n"), "\"tools\": expected a list"));
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"chat_template_kwargs\": []}\n"),
                 "\"chat_template_kwargs\": expected an object, or one as JSON"));
  CHECK(contains(prompt_error(R"({"prompt": "a", "tools": ["weather"]})"),
                 "\"tools\": expected a list of objects"));
  CHECK(
      contains(prompt_error(R"({"messages": [{"role": "assistant", "content": "", "tool_calls": "none"}]})"),
               "\"messages\"[0].tool_calls: expected a list of objects"));
  CHECK(contains(prompt_error(R"({"prompt": [{"role": "user", "content": "q"}, )"
                              R"({"role": "assistant", "content": "It is"}]})"),
                 "rows.jsonl:1: \"prompt\" ends with a message of the assistant"));
}

TEST_CASE("prompt rows: what a data set packed into strings is unpacked for the template", "[data]") {
  const JsonlFile file(
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null, )"
      R"("tool_calls": "[{\"function\": {\"name\": \"f\", \"arguments\": \"{}\"}}]"}, )"
      R"({"role": "tool", "content": "5"}], "tools": ["{\"type\": \"function\"}"], )"
      R"("chat_template_kwargs": "{\"enable_thinking\": false}"})");
  const PromptRow row = read_prompt_rows(file.path()).at(0);
  CHECK(row.messages.at(1).fields["tool_calls"].dump() == R"([{"function":{"name":"f","arguments":"{}"}}])");
  CHECK(row.template_variables.dump() == R"({"tools":[{"type":"function"}],"enable_thinking":false})");
}

TEST_CASE("prompt rows: a problem is found in the parts of a message", "[data]") {
  const std::string parts =
      R"([{"type": "text", "text": "Solve. "}, {"type": "text", "text": "What is 2+2?"}])";
  const JsonlFile file(R"({"problem": "What is 2+2?", "messages": [{"role": "user", "content": )" + parts +
                       "}]}");
  CHECK(read_prompt_rows(file.path()).at(0).messages.size() == 1);
}

TEST_CASE("prompt rows: answers may be numbers, and AIME's keys in capitals", "[data]") {
  const JsonlFile file(R"({"question": "q", "answer": 42})"
                       "\n"
                       R"({"ID": "2024-I-1", "Problem": "p", "Solution": "s", "Answer": 33})"
                       "\n"
                       R"({"prompt": "p", "answer": -2.5})"
                       "\n"
                       R"({"Prompt": "other", "prompt": "own", "ANSWER": "x"})"
                       "\n");
  const std::vector<PromptRow> rows = read_prompt_rows(file.path());
  CHECK(rows.at(0).answer == "42");
  CHECK(rows.at(1).prompt == "Question: p\nAnswer:");
  CHECK(rows.at(1).answer == "33");
  CHECK(rows.at(2).answer == "-2.5");
  CHECK(rows.at(3).prompt == "own");
  CHECK(rows.at(3).answer == "x");
  const std::vector<TraceRow> traces =
      read_trace_rows(JsonlFile(R"({"ID": "1", "Problem": "p", "Solution": "s", "Answer": 33})"
                                "\n"
                                R"({"question": "q", "answer": 42})")
                          .path());
  CHECK(traces.at(0).completion == " s\n\n");
  CHECK(traces.at(1).completion == " 42\n\n");
}

TEST_CASE("prompt rows: template variables are kept, and every other column too", "[data]") {
  const JsonlFile file(
      R"({"id": 7, "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, )"
      R"("tool_calls": [{"z": 1, "a": 2}]}, {"role": "tool", "content": [{"type": "text", "text": "5"}]}], )"
      R"("tools": "[{\"type\": \"function\"}]", "documents": [], "chat_template_kwargs": )"
      R"({"enable_thinking": false}, "level": "hard", "extra_info": {"z": [1], "a": NaN}})"
      "\n"
      R"({"prompt": [{"role": "user", "content": "u"}], "source": "mine", "answer": "5"})");
  const std::vector<PromptRow> rows = read_prompt_rows(file.path());
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0].messages.size() == 3);
  CHECK(rows[0].messages[0].fields.is_null());
  CHECK(rows[0].messages[1].fields["tool_calls"].dump() == R"([{"z":1,"a":2}])");
  CHECK(rows[0].messages[1].fields["content"].is_null());
  CHECK(rows[0].messages[2].fields["content"].is_array());
  CHECK(rows[0].template_variables.dump() == R"({"tools":[{"type":"function"}],"enable_thinking":false})");
  CHECK(rows[0].columns.dump() == R"({"id":7,"level":"hard","extra_info":{"z":[1],"a":null}})");
  CHECK(rows[1].messages.at(0).content == "u");
  CHECK(rows[1].columns.dump() == R"({"source":"mine","answer":"5"})");
}

TEST_CASE("trace rows: conversations end with the assistant's message", "[data]") {
  const std::string user = R"({"role": "user", "content": "hi"})",
                    assistant = R"({"role": "assistant", "content": "hello", "reasoning_content": "r"})";
  const JsonlFile file("{\"messages\": [" + user + ", " + assistant + "]}\n" +  //
                       "{\"prompt\": [" + user + "], \"completion\": [" + assistant + "]}\n" +
                       "{\"prompt\": [" + user + "], \"completion\": \"text\"}\n");
  const std::vector<TraceRow> rows = read_trace_rows(file.path());
  REQUIRE(rows.size() == 3);
  for (const TraceRow& row : rows) {
    REQUIRE(row.messages.size() == 2);
    CHECK(row.messages[1].role == "assistant");
  }
  CHECK(rows[0].messages[1].fields["reasoning_content"] == "r");
  CHECK(rows[2].messages[1].content == "text");
  CHECK(contains(trace_error("{\"messages\": [" + user + "]}\n"),
                 "rows.jsonl:1: the last message is from \"user\""));
  // Rows with both text and messages are text.
  CHECK(trace_error("{\"messages\": [" + user + "], \"text\": 5}\n").find("\"text\"") != std::string::npos);
}

TEST_CASE("trace rows: tokens that foresight wrote keep their text", "[data]") {
  const std::vector<TraceRow> rows = read_trace_rows(
      JsonlFile(
          R"({"prompt": "p", "completion": "c", "tokens": [1, 2, 3], "prompt_tokens": 1, "finished": true})"
          "\n"
          R"({"text": "t", "tokens": 120})"
          "\n"
          R"({"prompt": "p", "completion": "c", "text": "another column"})")
          .path());
  CHECK(rows.at(0).tokens == Tokens{1, 2, 3});
  CHECK(rows.at(0).prompt_tokens == 1);
  CHECK(rows.at(0).completion == "c");
  CHECK(rows.at(1).completion == "t");  // the column is a count
  CHECK(rows.at(1).tokens.empty());
  CHECK(rows.at(2).prompt == "p");
  CHECK(contains(trace_error(R"({"prompt": "p", "completion": "c", "tokens": [1], "prompt_tokens": 2})"),
                 "\"prompt_tokens\": expected an integer from 0 to the 1 of \"tokens\", got 2"));
  CHECK(contains(trace_error(R"({"tokens": [1], "prompt_tokens": 1})"), "has no \"prompt\""));
}

TEST_CASE("overlap: the same text or the same tokens are found, parts are not", "[data]") {
  const std::vector<TraceRow> train = {
      {"p", "c", {}, "a:1"}, {"", "whole", {}, "a:2"}, {"", "", {1, 2}, "a:3"}, {"", "pc", {}, "a:4"}};
  const std::vector<TraceRow> evaluation = {{"", "pc", {}, "b:1"},
                                            {"wh", "ole", {}, "b:2"},
                                            {"", "", {1, 2, 3}, "b:3"},
                                            {"", "who", {}, "b:4"},
                                            {"", "", {1, 2}, "b:5"}};
  CHECK(overlapping_rows(train, evaluation) ==
        std::vector<std::string>{"a:1 = b:1", "a:2 = b:2", "a:3 = b:5"});
  CHECK(overlapping_rows({}, evaluation).empty());
  // A generated row has tokens and text: the same text with other tokens, or without, is the same row.
  TraceRow generated{"p", "c", {8, 9}, "c:1"};
  generated.prompt_tokens = 1;
  CHECK(overlapping_rows(train, {generated}) == std::vector<std::string>{"a:1 = c:1"});
}

}  // namespace foresight
