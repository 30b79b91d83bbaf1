// Against transformers' apply_chat_template: tests/reference/tokenizer/make_chat_fixture.py.
#include "trainer/text/chat_template.h"

#include "tests/text/fixtures.h"
#include "trainer/text/jinja_text.h"

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

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("chat template: the families known render as in transformers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "chat_templates.json");
  REQUIRE(fixture.at("templates").size() == 6);
  for (const Json& one : fixture["templates"]) {
    INFO(one["name"]);
    const ChatTemplate chat = load_text(one.at("template"));
    CHECK(chat.family() == one.at("family"));
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
          render({{{"name", "tool_use"}, {"template", "x"}}});
        }).find("no chat template") != std::string::npos);
  CHECK(input_error([&] { render(5); }).find("\"chat_template\": expected a string, got number") !=
        std::string::npos);
}

TEST_CASE("chat template: a folder without one, an unknown one and a changed one are refused", "[text]") {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto refusal = [&](const std::string& text) {
    const ChatTemplate chat = load_text(text);
    CHECK(chat.family().empty());
    return input_error([&] { chat.render(messages); });
  };
  const TemporaryFolder empty;
  CHECK(input_error([&] { ChatTemplate::load(empty.path()).render(messages); }).find("no chat template") !=
        std::string::npos);
  CHECK(refusal("[INST] {{ messages[0].content }} [/INST]")
            .find("chat_template.jinja: the chat template is none of the families known") !=
        std::string::npos);
  const std::string smollm = template_named("SmolLM2")["template"];
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"{{'<|im_start|>' + message['role']", "{{'<|im_start|>' + message['role']|upper"},
           {"{% endif %}{{'<", "{% endif %} {{'<"},  // a blank that would be rendered
           {"{% endif %}{{'<", "{% endif %}\n  {{'<"},
           {"{% endfor %}", "x{% endfor %}"},
           {"{% endfor %}", "{# note #}{% endfor %}"},
           {"{% endfor %}", "{% endfor %}{{ '<think>' }}"},
           {"Hugging Face<", "Hugging \\u0046ace<"},
           {"Hugging Face<", "Hugging' + x + 'Face<"},
           {"assistant\n'", "assistant\n"}}) {
    INFO(from << " -> " << to);
    CHECK(refusal(replaced(smollm, from, to)).find("none of the families known") != std::string::npos);
  }
  const std::string qwen = template_named("Qwen2.5")["template"];
  CHECK(!refusal(replaced(qwen, "not message.tool_calls)", "not message.tool_calls and x)")).empty());
  CHECK(!refusal(replaced(qwen, "{%- if add_generation_prompt %}", "{%- if enable_thinking %}")).empty());
  CHECK(
      !refusal(replaced(qwen, "messages[0]['content'] + '<|im_end|>\\n'", "messages[0]['content']")).empty());
  CHECK(!refusal(replaced(template_named("Llama-3")["template"], "| trim", "")).empty());
}

TEST_CASE("chat template: nothing to render, strange roles and a missing begin token are refused", "[text]") {
  CHECK(input_error([] {
          load_text(template_named("SmolLM2")["template"]).render({});
        }).find("no messages") != std::string::npos);
  CHECK(input_error([] {
          load_text(template_named("Qwen2.5")["template"]).render({{"tool", "x"}});
        }).find("role \"tool\" is not supported for Qwen2.5") != std::string::npos);
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", template_named("Llama-3")["template"]);
  CHECK(input_error([&] {
          ChatTemplate::load(folder.path()).render({{"user", "x"}});
        }).find("bos_token") != std::string::npos);
}

TEST_CASE("jinja text: unclosed tags and strings have no canonical form", "[text]") {
  CHECK(canonical_template("{{ 'a' ~ \"it's\" }}\n") == "{{'a'~'it\\'s'}}");
  CHECK(unescape_canonical("it\\'s \\\\n") == "it's \\n");
  for (const char* broken :
       {"{{ 'a", "{{ 'a' ", "{% if x", "{{ 'a\\", "{{ '\\x41' }}", "text", "{{ a }} text"}) {
    INFO(broken);
    CHECK_FALSE(canonical_template(broken).has_value());
  }
}

}  // namespace foresight
