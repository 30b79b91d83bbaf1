#include "data/trace_rows.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

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

template <class Call>
std::string input_error(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  FAIL("nothing was thrown");
  return "";
}

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

/// Tokens first, first+1, ...; the first `prompt_tokens` of them belong to the prompt.
TokenRow token_row(std::int32_t first, int count, int prompt_tokens, const std::string& source) {
  TokenRow row;
  for (int index = 0; index < count; ++index) {
    row.tokens.push_back(first + index);
    row.completion.push_back(index >= prompt_tokens ? 1 : 0);
  }
  row.source = source;
  return row;
}

using Tokens = std::vector<std::int32_t>;
using Marks = std::vector<std::uint8_t>;

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
  CHECK(contains(input_error([&] { read_trace_rows(file.folder()); }), "cannot be read"));
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
  CHECK(contains(trace_error("{\"text\": \"a\", \"text\": \"b\"}\n"), "\"text\" stands there twice"));
  CHECK(contains(trace_error("{\"text\": " + std::string(1'000'000, '[') + "\n"), "nested deeper than 32"));
  CHECK(contains(trace_error("{\"tokens\": [\"a\\n\\u001b\"]}\n"), "expected an integer"));
  CHECK(trace_error("{\"tokens\": [\"" + std::string(1'000'000, 'x') + "\"]}\n").size() < 1000);
}

TEST_CASE("trace rows: calculator marks that never close take no time", "[data]") {
  // Once the square of the length: half a million of these took hours.
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

TEST_CASE("prompt rows: the assistant's turns at the end of messages are no part of the prompt", "[data]") {
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
  CHECK(contains(prompt_error("{\"messages\": [" + answer + "]}\n"), "turns of the assistant alone"));
  // The problem in the answer alone is none that is asked.
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
  CHECK(contains(prompt_error("{\"prompt\": \"a\", \"answer\": 4}\n"),
                 "\"answer\": expected a string, got number"));
}

TEST_CASE("packing: the cut row is dropped from the next trace", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 3, 1, "a:1"), token_row(20, 4, 2, "a:2"),
                                      token_row(30, 2, 0, "a:3"), token_row(40, 3, 3, "a:4"),
                                      token_row(50, 4, 0, "a:5")};
  const std::vector<TokenRow> traces = pack_rows(rows, true, 5, 0, -1);
  REQUIRE(traces.size() == 2);  // row 5 alone does not fill a third
  CHECK(traces[0].tokens == Tokens{10, 11, 12, 20, 21});
  CHECK(traces[0].completion == Marks{0, 1, 1, 0, 0});
  CHECK(traces[0].source == "a:1 .. a:2");
  CHECK(traces[1].tokens == Tokens{30, 31, 40, 41, 42});  // ends exactly at a row's end: nothing is dropped
  CHECK(traces[1].source == "a:3 .. a:4");
}

TEST_CASE("packing: the first token stands at each trace's start only and is no completion", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 2, 0, "a:1"), token_row(20, 2, 0, "a:2"),
                                      token_row(30, 9, 0, "a:3")};
  const std::vector<TokenRow> traces = pack_rows(rows, true, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 10, 11, 20});
  CHECK(traces[0].completion == Marks{0, 1, 1, 1});
  CHECK(traces[1].tokens == Tokens{1, 30, 31, 32});
  CHECK(traces[1].source == "a:3");
}

TEST_CASE("packing: a row that begins with the first token does not get another", "[data]") {
  const std::vector<TokenRow> rows = {token_row(1, 3, 0, "a:1"), token_row(20, 3, 0, "a:2")};
  const std::vector<TokenRow> traces = pack_rows(rows, false, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 2, 3});
  CHECK(traces[1].tokens == Tokens{1, 20, 21, 22});
}

TEST_CASE("packing: without packing each row is a trace, cut at the limit", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 2, 1, "a:1"), TokenRow{{}, {}, "a:2"},
                                      token_row(30, 9, 0, "a:3")};
  const std::vector<TokenRow> traces = pack_rows(rows, false, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 10, 11});
  CHECK(traces[1].tokens == Tokens{1, 30, 31, 32});
  CHECK(traces[1].source == "a:3");
}

TEST_CASE("packing: max_traces stops it, rows that fill nothing give nothing", "[data]") {
  const std::vector<TokenRow> rows(6, token_row(0, 5, 0, "a:1"));
  CHECK(pack_rows(rows, true, 5, 2, -1).size() == 2);
  CHECK(pack_rows(rows, true, 5, -1, -1).size() == 6);
  CHECK(pack_rows(rows, false, 9, 3, -1).size() == 3);
  CHECK(pack_rows(rows, true, 31, 0, -1).empty());
  CHECK(pack_rows({}, true, 4, 0, -1).empty());
}

TEST_CASE("packing: against a plain restatement of the rule on many random rows", "[data]") {
  std::uint32_t state = 7;
  const auto next = [&](std::uint32_t bound) {
    return (state = state * 1664525u + 1013904223u) / 65536u % bound;
  };
  std::vector<TokenRow> rows;
  for (int index = 0; index < 300; ++index) {
    rows.push_back(token_row(index * 100, static_cast<int>(next(60)), static_cast<int>(next(20)),
                             std::to_string(index)));
  }
  for (const std::int32_t first : {-1, 9999999}) {
    for (const std::size_t limit : {2u, 17u, 64u, 200u}) {
      std::vector<Tokens> expected;
      Tokens joined;
      for (const TokenRow& row : rows) {
        joined.insert(joined.end(), row.tokens.begin(), row.tokens.end());
        const std::size_t wanted = limit - (first >= 0 ? 1 : 0);
        if (joined.size() >= wanted) {
          joined.resize(wanted);
          if (first >= 0) joined.insert(joined.begin(), first);
          expected.push_back(joined);
          joined.clear();
        }
      }
      const auto traces = pack_rows(rows, true, static_cast<std::int64_t>(limit), 0, first);
      REQUIRE(traces.size() == expected.size());
      for (std::size_t index = 0; index < traces.size(); ++index)
        CHECK(traces[index].tokens == expected[index]);
    }
  }
}

TEST_CASE("packing: impossible lengths and rows without marks are refused", "[data]") {
  const auto kind_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInterrupted;
  };
  CHECK(kind_of([] { pack_rows({}, true, 0, 0, -1); }) == ErrorKind::kConfig);
  CHECK(kind_of([] { pack_rows({}, true, 1, 0, 5); }) == ErrorKind::kConfig);
  CHECK(kind_of([] { pack_rows({TokenRow{{1, 2}, {1}, "a:1"}}, true, 4, 0, -1); }) == ErrorKind::kInternal);
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
}

}  // namespace foresight
