// Against transformers' apply_chat_template: tests/reference/tokenizer/make_chat_rows_fixture.py.
#include "trainer/text/chat_rows.h"

#include "tests/text/fixtures.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

ChatTemplate load_text(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", text);
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
  return ChatTemplate::load(folder.path(), "2026-11-28");  // the day of the fixture
}

ChatTemplate family(const std::string& name) {
  const Json fixture = read_fixture(fixture_folder() / "chat_families.json");
  for (const Json& one : fixture.at("templates")) {
    if (one.at("name") == name) return load_text(one.at("template"));
  }
  FAIL("no template " << name);
  return load_text("");
}

PromptRow prompt_row(const std::string& line) {
  const TemporaryFolder folder;
  return read_prompt_rows(folder.write("rows.jsonl", line)).at(0);
}

TraceRow trace_row(const std::string& line) {
  const TemporaryFolder folder;
  return read_trace_rows(folder.write("rows.jsonl", line)).at(0);
}

TEST_CASE("chat rows: a row is rendered with all its fields, as in transformers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "chat_rows.json");
  REQUIRE(fixture.size() == 128);
  for (const Json& one : fixture) {
    INFO(one.at("template") << ": " << one.at("row"));
    const ChatTemplate chat = family(one["template"]);
    const PromptRow row = prompt_row(one["row"]);
    if (one.at("rendered").is_null()) {
      CHECK(input_error([&] { prompt_text(row, chat); }).starts_with("rows.jsonl:1: "));
    } else {
      CHECK(prompt_text(row, chat) == one["rendered"].get<std::string>());
    }
  }
}

TEST_CASE("chat rows: a plain prompt is a user's message where there is a template", "[text]") {
  const ChatTemplate chat = load_text(
      "{{ (tools or []) | length }}{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}");
  CHECK(prompt_text(prompt_row(R"({"prompt": "hi"})"), chat, "Think.") == "0[user: hi\nThink.]");
  CHECK(prompt_text(prompt_row(R"({"prompt": "hi", "tools": [{"a": 1}]})"), chat) == "1[user: hi]");
  const TemporaryFolder empty;
  const ChatTemplate none = ChatTemplate::load(empty.path());
  CHECK(prompt_text(prompt_row(R"({"prompt": "hi"})"), none, "Think.") == "hi\nThink.");
  CHECK(input_error([&] {
          prompt_text(prompt_row(R"({"prompt": "hi", "tools": [{"a": 1}]})"), none);
        }).starts_with("rows.jsonl:1: "));
}

TEST_CASE("chat rows: variables without a template, and bad rows, are named by row", "[text]") {
  const ChatTemplate chat = load_text("{{ tools | tojson }}");
  CHECK(input_error([&] {
          prompt_text(prompt_row(R"({"prompt": "hi", "tools": [{"a": 0.5}]})"), chat);
        }).find("rows.jsonl:1: ") == 0);
  CHECK(input_error([&] {
          prompt_text(prompt_row(R"({"prompt": "hi", "tools": [{"a": 18446744073709551615}]})"), chat);
        }).find("too large a number") != std::string::npos);
}

TEST_CASE("chat rows: a training row's completion is its last message, as the template ends it", "[text]") {
  const std::string line =
      R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello there"}]})";
  const TraceRow row = rendered_row(trace_row(line), family("Qwen3"));
  const std::string whole = row.prompt + row.completion;
  CHECK(row.prompt.ends_with("<|im_start|>assistant\n"));
  CHECK(row.completion.ends_with("hello there<|im_end|>\n"));
  CHECK(row.messages.empty());
  CHECK(row.source == "rows.jsonl:1");
  // If a template writes something else after the generation prompt, the prompt is what both texts share.
  const ChatTemplate thinking = load_text(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>\n{% endif %}");
  const TraceRow other = rendered_row(trace_row(line), thinking);
  CHECK(other.prompt == "<user>hi<assistant>");
  CHECK(other.completion == "hello there");
  const TraceRow text = rendered_row(trace_row(R"({"text": "t"})"), thinking);
  CHECK(text.completion == "t");
  const TemporaryFolder empty;
  CHECK(input_error([&] {
          rendered_row(trace_row(line), ChatTemplate::load(empty.path()));
        }).find("rows.jsonl:1: ") == 0);
}

TEST_CASE("chat rows: strftime_now gives the config's date", "[text]") {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", "{{ strftime_now('%d %b %Y, %A') }}");
  const PromptRow row = prompt_row(R"({"prompt": "hi"})");
  CHECK(prompt_text(row, ChatTemplate::load(folder.path(), "2024-02-29")) == "29 Feb 2024, Thursday");
  CHECK(input_error([&] {
          prompt_text(row, ChatTemplate::load(folder.path()));
        }).find("set model.template_date") != std::string::npos);
  for (const char* date : {"2023-02-29", "26 Jul 2024", "2024-13-01", "2024-01-01x"}) {
    INFO(date);
    try {
      ChatTemplate::load(folder.path(), date);
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kConfig);
      CHECK(std::string(error.what()).find("model.template_date") != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace foresight
