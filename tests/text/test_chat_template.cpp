// Against transformers' apply_chat_template: tests/reference/tokenizer/make_chat_fixture.py.
#include "trainer/text/chat_template.h"

#include "tests/text/fixtures.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

constexpr const char* kConfig = R"({"bos_token": {"content": "<|begin_of_text|>"}})";

ChatTemplate load_text(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", text);
  folder.write("tokenizer_config.json", kConfig);
  return ChatTemplate::load(folder.path());
}

std::vector<ChatMessage> messages_of(const Json& conversation) {
  std::vector<ChatMessage> messages;
  for (const Json& message : conversation) messages.push_back({message.at("role"), message.at("content")});
  return messages;
}

Json template_named(const std::string& name) {
  const Json fixture = read_fixture(fixture_folder() / "chat_templates.json");
  for (const Json& one : fixture.at("templates")) {
    if (one.at("name") == name) return one;
  }
  FAIL("no template " << name);
  return {};
}

}  // namespace

TEST_CASE("chat template: the families known render as in transformers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "chat_templates.json");
  REQUIRE(fixture.at("templates").size() == 6);
  for (const Json& one : fixture["templates"]) {
    INFO(one["name"]);
    const ChatTemplate chat = load_text(one.at("template"));
    CHECK(chat.can_render());
    for (std::size_t index = 0; index < fixture["conversations"].size(); ++index) {
      CHECK(chat.render(messages_of(fixture["conversations"][index])) ==
            one["rendered"][index].get<std::string>());
    }
  }
}

TEST_CASE("chat template: it is found in tokenizer_config.json too, alone or as \"default\"", "[text]") {
  const Json one = template_named("SmolLM2");
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto render = [&](const Json& chat_template) {
    const TemporaryFolder folder;
    folder.write("tokenizer_config.json", Json{{"chat_template", chat_template}}.dump());
    return ChatTemplate::load(folder.path()).render(messages);
  };
  CHECK(render(one["template"]) == one["rendered"][0].get<std::string>());
  CHECK(render({{{"name", "tool_use"}, {"template", "x"}},
                {{"name", "default"}, {"template", one["template"]}}}) ==
        one["rendered"][0].get<std::string>());
  CHECK(input_error([&] {
          render({{{"name", "tool_use"}, {"template", "x"}}, {{"name", "rag"}, {"template", "y"}}});
        }).find("none of its 2 templates is named default (tool_use, rag)") != std::string::npos);
  CHECK(input_error([&] { render(Json::array()); }).find("no chat template") != std::string::npos);
  CHECK(input_error([&] { render(5); }).find("\"chat_template\": expected a string, got number") !=
        std::string::npos);
}

TEST_CASE("chat template: a folder without one is refused, and what is not supported by name", "[text]") {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const TemporaryFolder empty;
  const ChatTemplate none = ChatTemplate::load(empty.path());
  CHECK_FALSE(none.can_render());
  CHECK(input_error([&] { none.render(messages); }).find("no chat template") != std::string::npos);
  const auto refusal = [&](const std::string& text, bool read) {
    const ChatTemplate chat = load_text(text);
    CHECK(chat.can_render() == read);
    return input_error([&] { chat.render(messages); });
  };
  CHECK(refusal("a\n\n{% call x() %}{% endcall %}", false)
            .find("chat_template.jinja: chat template, line 3: the statement {% call %} is not supported") !=
        std::string::npos);
  CHECK(refusal("{% for m in messages recursive %}{% endfor %}", false).find("recursive loop") !=
        std::string::npos);
  CHECK(refusal("{{ 'a", false).find("a string is not closed; give prompts as text") != std::string::npos);
  CHECK(refusal("a\n{{ messages | sort }}", true).find("line 2: the filter sort is not supported") !=
        std::string::npos);
  CHECK(refusal("{{ messages is sorted }}", true).find("the test sorted is not supported") !=
        std::string::npos);
  CHECK(refusal("{{ 'a'.swapcase() }}", true).find("the function swapcase() is not supported") !=
        std::string::npos);
  CHECK(refusal("{{ lipsum() }}", true).find("the function lipsum() is not supported") != std::string::npos);
  CHECK(refusal("{{ raise_exception('only\nusers') }}", true).find("it refuses the messages: only\\nusers") !=
        std::string::npos);
  CHECK(refusal("{{ '\xC3\xA9' | title }}", true).find("the filter title beyond ASCII is not supported") !=
        std::string::npos);
  CHECK(refusal("{{ {1: 2} }}", true).find("a dictionary's key is not a text") != std::string::npos);
  CHECK(refusal("{{ [1] | tojson(ensure_ascii=true) }}", true).find("tojson with settings") !=
        std::string::npos);
  CHECK(refusal("{{ ''.split(none, 1) }}", true).find("split() at blanks with a limit") != std::string::npos);
  CHECK(refusal("{{ 'a' | trim(left=true) }}", true).find("the filter trim with left is not supported") !=
        std::string::npos);
  // Unsupported parts that are not reached are no error.
  CHECK(load_text("{% if tools %}{{ tools | sort }}{% endif %}a").render(messages) == "a");
}

TEST_CASE("chat template: nothing to render and a missing begin token are refused", "[text]") {
  CHECK(input_error([] {
          load_text(template_named("SmolLM2")["template"]).render({});
        }).find("no messages") != std::string::npos);
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", template_named("Llama-3")["template"]);
  CHECK(input_error([&] {
          ChatTemplate::load(folder.path()).render({{"user", "x"}});
        }).find("\"bos_token\" is undefined") != std::string::npos);
}

TEST_CASE("chat template: strftime_now exists only if a date is given", "[text]") {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  ChatOptions options;
  CHECK(load_text("{{ strftime_now is defined }}").render(messages) == "False");
  CHECK(input_error([&] {
          load_text("{{ strftime_now('%Y') }}").render(messages, options);
        }).find("strftime_now() is given no date here") != std::string::npos);
  options.now = std::tm{};
  options.now->tm_year = 125;
  CHECK(load_text("{{ strftime_now('%Y') }}").render(messages, options) == "2025");
  CHECK(input_error([&] {
          load_text("{{ strftime_now('%Ex') }}").render(messages, options);
        }).find("strftime_now() with %E is not supported") != std::string::npos);
  CHECK(input_error([&] {
          load_text("{{ strftime_now('%') }}").render(messages, options);
        }).find("is not supported") != std::string::npos);
}

TEST_CASE("chat template: variables come from the options, floating-point numbers are refused", "[text]") {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  ChatOptions options;
  options.variables = {{"a", {{"b", {1, true, nullptr, "c"}}}}, {"tools", {"t"}}};
  CHECK(load_text("{{ a.b | join('-') }}{{ tools | first }}").render(messages, options) == "1-True-None-ct");
  options.variables = {{"a", 0.5}};
  CHECK(input_error([&] { load_text("x").render(messages, options); }).find("decimal point") !=
        std::string::npos);
}

TEST_CASE("chat template: a template that would not end, or grow without end, is refused", "[text]") {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto refusal = [&](const std::string& text) {
    return input_error([&] { load_text(text).render(messages); });
  };
  const std::string loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  CHECK(refusal(loops).find("steps and bytes of text") != std::string::npos);
  CHECK(
      refusal(
          "{% set ns = namespace(t='ab') %}{% for a in range(99) %}{% set ns.t = ns.t + ns.t %}{% endfor %}")
          .find("steps and bytes of text") != std::string::npos);
  CHECK(refusal(
            "{% set ns = namespace(l=[1]) %}{% for a in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}")
            .find("steps and bytes of text") != std::string::npos);
  CHECK(refusal("{% set ns = namespace(l=[]) %}{% for a in range(99) %}{% set ns.l = [ns.l] %}{% endfor %}")
            .find("nested deeper than 64") != std::string::npos);
  CHECK(refusal("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").find("calls itself too deeply") !=
        std::string::npos);
  CHECK(refusal("{{ range(100001) | length }}").find("more than 100000 numbers") != std::string::npos);
  CHECK(refusal("{{ " + std::string(100, '(') + "1" + std::string(100, ')') + " }}")
            .find("nested deeper than") != std::string::npos);
  std::string sum = "1", blocks, ends;
  for (int i = 0; i < 300; ++i) sum += " + 1";
  CHECK(refusal("{{ " + sum + " }}").find("more than 200 steps") != std::string::npos);
  for (int i = 0; i < 100; ++i) {
    blocks += "{% if true %}";
    ends += "{% endif %}";
  }
  CHECK(refusal(blocks + ends).find("blocks are nested deeper than 64") != std::string::npos);
  CHECK(refusal("{{ 9223372036854775807 + 1 }}").find("a number is too large") != std::string::npos);
  CHECK(refusal("{{ (-9223372036854775807 - 1) // -1 }}").find("a number is too large") != std::string::npos);
  CHECK(refusal("{{ 92233720368547758079 }}").find("a number is too large") != std::string::npos);
  CHECK(refusal("{{ 1 // 0 }}").find("division by zero") != std::string::npos);
  // A namespace may hold itself.
  CHECK(load_text("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns.a.a is defined }}").render(messages) ==
        "True");
}

}  // namespace foresight
