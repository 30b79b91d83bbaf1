// Chat templates of the model families against transformers' apply_chat_template:
// tests/reference/tokenizer/make_chat_family_fixture.py.
#include <map>
#include <set>

#include "tests/text/compare_fixture.h"
#include "tests/text/fixtures.h"
#include "trainer/text/chat_template.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

/// What transformers renders and this program refuses, by name.
const std::map<std::string, std::string>& refused_here() {
  static const std::map<std::string, std::string> kRefused = {
      {"{{ 5 / 2 }}", "/ is not supported"},
      {"{{ 1.5 }}", "numbers with a decimal point"},
      {"{{ 2 ** 3 }}", "** is not supported"},
      {"{{ items }}", "a list written as text"},
      {"{{ messages[0] }}", "a dictionary written as text"},
      {"{{ text.encode() }}", "the function encode() is not supported"},
      {"{% for m in messages recursive %}a{% endfor %}", "a recursive loop is not supported"},
      {"{% for i in items %}{{ loop.cycle('x', 'y') }}{% endfor %}", "the function cycle() is not supported"},
      {"{% for i in items %}{{ loop.changed(i) }}{% endfor %}", "the function changed() is not supported"},
      {"{{ items | unique | list | length }}", "the filter unique is not supported"},
      {"{{ items | sort | join }}", "the filter sort is not supported"},
      {"{{ '7' | int + 1 }}", "the filter int is not supported"},
      {"{{ 'a\nb' | indent(2) }}", "the filter indent is not supported"},
      {"{{ {'b': 1, 'a': 2} | dictsort | length }}", "the filter dictsort is not supported"},
      {"{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}", "the filter tojson with settings other than"},
      {"{{ items | tojson(indent='-') }}", "the filter tojson with settings other than"},
      {"{{ -3 | abs }}", "the filter abs is not supported"},
      {"{{ 'a' is lower }}", "the test lower is not supported"},
      {"{{ '%s-%d' | format('a', 3) }}", "the filter format is not supported"},
      {"{{ [1, 2] | sum }}", "the filter sum is not supported"},
      {"{{ 'ab' * 2 }}", "* of a text and a number is not supported"},
      {"{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
       "the statement {% with %} is not supported"},
      {"{% filter upper %}a{{ text }}{% endfilter %}", "the statement {% filter %} is not supported"},
      {"{% block a %}x{% endblock %}", "the statement {% block %} is not supported"},
      {"{% raw %}{{ x }}{% endraw %}|", "the statement {% raw %} is not supported"},
      {"{% raw -%}  {{ x }} {% a %}  {%- endraw %}|", "the statement {% raw %} is not supported"},
      {"{{ items.index('b') }}", "the function index() is not supported"},
      {"{{ text.isdigit() }}", "the function isdigit() is not supported"},
  };
  return kRefused;
}

ChatTemplate load_text(const std::string& text, const Json& config) {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", text);
  folder.write("tokenizer_config.json", config.dump());
  return ChatTemplate::load(folder.path());
}

std::vector<ChatMessage> messages_of(const Json& conversation) {
  std::vector<ChatMessage> messages;
  for (const Json& message : conversation) messages.push_back({message.at("role"), message.at("content")});
  return messages;
}

ChatOptions options_of(const Json& fixture, Json variables) {
  ChatOptions options;
  options.add_generation_prompt = variables.value("add_generation_prompt", true);
  variables.erase("add_generation_prompt");
  options.variables = std::move(variables);
  const Json& now = fixture.at("now");
  std::tm time{};
  time.tm_year = now[0].get<int>() - 1900;
  time.tm_mon = now[1].get<int>() - 1;
  time.tm_mday = now[2];
  time.tm_hour = now[3];
  time.tm_min = now[4];
  time.tm_sec = now[5];
  time.tm_isdst = -1;
  timegm(&time);  // fills the days of week and year
  options.now = time;
  return options;
}

/// The rendered text, or "refused: " and the message.
std::string rendered(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                     const ChatOptions& options) {
  try {
    return chat.render(messages, options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find("chat_template.jinja: chat template, line ") != std::string::npos);
    return "refused: " + message;
  }
}

}  // namespace

TEST_CASE("chat families: each family's constructs render as in transformers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "chat_families.json");
  REQUIRE(fixture.at("templates").size() == 18);
  for (const Json& one : fixture["templates"]) {
    const ChatTemplate chat = load_text(one.at("template"), fixture.at("special"));
    for (const Json& test : one.at("cases")) {
      INFO(one["name"] << ": " << test.dump());
      const auto messages =
          messages_of(fixture["conversations"].at(test.at("conversation").get<std::size_t>()));
      const std::string text = rendered(chat, messages, options_of(fixture, test.at("options")));
      if (test.at("rendered").is_null()) {
        CHECK(text.starts_with("refused: "));
      } else {
        CHECK(shown(text) == shown(test["rendered"]));
      }
    }
  }
}

TEST_CASE("chat families: single constructs render or are refused as in transformers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "chat_families.json");
  const auto messages = messages_of(fixture.at("conversations").at(1));
  std::set<std::string> seen;
  for (const Json& one : fixture.at("snippets")) {
    const std::string text = one.at("template");
    INFO(shown(text));
    const ChatTemplate chat = load_text(text, fixture.at("special"));
    const std::string result = rendered(chat, messages, options_of(fixture, fixture.at("variables")));
    const auto known = refused_here().find(text);
    if (known != refused_here().end()) {
      seen.insert(text);
      CHECK(result.find(known->second) != std::string::npos);
    } else if (one.at("rendered").is_null()) {
      CHECK(result.starts_with("refused: "));
    } else {
      CHECK(shown(result) == shown(one["rendered"]));
    }
  }
  CHECK(seen.size() == refused_here().size());
}

}  // namespace foresight
