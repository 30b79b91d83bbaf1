#include "trainer/text/pre_tokenizer.h"

#include "tests/text/fixtures.h"
#include "trainer/text/pattern.h"

namespace foresight {
namespace {

using Json = nlohmann::json;

std::size_t character_count(std::string_view text) {
  std::size_t characters = 0;
  for (const char byte : text) characters += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return characters;
}

bool refused(const std::string& expression, const std::string& what) {
  const std::string message = input_error([&] { Pattern::regex(expression, "tokenizer.json"); });
  INFO(message);
  return message.starts_with("tokenizer.json: ") && message.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("pre-tokenizer: every split behaviour cuts as in tokenizers", "[text]") {
  const Json fixture = read_fixture(fixture_folder() / "pre_tokenizers.json");
  REQUIRE(fixture.at("cases").size() >= 90);
  for (const Json& one : fixture["cases"]) {
    const PreTokenizer pre_tokenizer = PreTokenizer::from_json(one.at("pre_tokenizer"), "fixture");
    for (std::size_t index = 0; index < fixture["texts"].size(); ++index) {
      const auto text = fixture["texts"][index].get<std::string>();
      Json pieces = Json::array();
      pre_tokenizer.for_each_piece(text, [&](std::string_view piece, std::int64_t begin) {
        const std::size_t first =
            character_count(std::string_view(text).substr(0, static_cast<std::size_t>(begin)));
        pieces.push_back({first, first + character_count(piece)});
      });
      INFO(one["name"] << ", text " << Json(text).dump(-1, ' ', true));
      CHECK(pieces.dump() == one.at("pieces")[index].dump());
    }
  }
}

TEST_CASE("pre-tokenizer: what is not supported is refused by name", "[text]") {
  const auto message = [](const char* description) {
    return input_error(
        [&] { PreTokenizer::from_json(Json::parse(description), "tokenizer.json: pre_tokenizer"); });
  };
  const auto contains = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(contains(message(R"({"type": "Whitespace"})"), "pre-tokenizer Whitespace is not supported"));
  CHECK(contains(message(R"({"type": "Metaspace"})"), "\"replacement\": expected a string"));
  CHECK(contains(message(R"({"type": "Metaspace", "replacement": "ab"})"),
                 "expected one character, got \"ab\""));
  CHECK(contains(message(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
                 "prepend_scheme last is not supported"));
  CHECK(contains(message(R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})"),
                 "add_prefix_space is false"));
  CHECK(contains(message(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"},
                            {"type": "Metaspace", "replacement": "_"}]})"),
                 "Metaspace behind another step"));
  CHECK(contains(message(R"({"type": "Sequence", "pretokenizers": [{"type": "Metaspace", "replacement": "_"},
                            {"type": "ByteLevel"}]})"),
                 "Metaspace and ByteLevel together"));
  CHECK(contains(
      message(R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})"),
      "Digits behind ByteLevel"));
  CHECK(
      contains(message(R"({"type": "Sequence", "pretokenizers": 3})"), "\"pretokenizers\": expected a list"));
  CHECK(contains(message(R"({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Odd"})"),
                 "behavior Odd"));
  CHECK(contains(message(R"({"type": "Split", "pattern": "a", "behavior": "Isolated"})"),
                 "\"pattern\": expected an object"));
  CHECK(contains(message(R"({"type": "Split", "pattern": {"Glob": "a"}, "behavior": "Isolated"})"),
                 "\"String\": expected a string"));
  CHECK(contains(message(R"({"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated"})"),
                 "the pattern is empty"));
  CHECK(contains(message(R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})"),
                 "the pattern (a is not supported"));
  CHECK(
      contains(message(R"({"type": "ByteLevel", "use_regex": 1})"), "\"use_regex\": expected true or false"));
  CHECK(contains(message(R"(["ByteLevel"])"), "expected an object with \"type\", got array"));
}

TEST_CASE("pattern: what the two dialects read differently is translated or refused", "[text]") {
  CHECK(translate_oniguruma(R"(\s+(?!\S)|[^\s\p{L}]|\d{2,}|\x{41}+)", "here") ==
        R"([\t-\r\x{85}\p{Z}]+(?![^\t-\r\x{85}\p{Z}])|[^\t-\r\x{85}\p{Z}\p{L}]|\d{2,}|\x{41}+)");
  CHECK(translate_oniguruma(R"(\p{^L}\P{^Lu}\p{Han}\P{Greek})", "here") ==
        R"(\P{L}\p{Lu}\p{sc:Han}\P{sc:Greek})");
  CHECK(translate_oniguruma(R"((?i:a)(?:b)(?=c)\[\])", "here") == R"((?i:a)(?:b)(?=c)\[\])");
  CHECK(refused("[a&&b]", "&&"));
  CHECK(refused("[a[b]]", "class inside another"));
  CHECK(refused("[]a]", "first sign of a character class"));
  CHECK(refused(R"([^\S])", "negated escape"));
  CHECK(refused(R"(\h)", "\\h"));
  CHECK(refused(R"(\bword)", "\\b"));
  CHECK(refused("a\\", "backslash at the end"));
  CHECK(refused(R"(\pL)", "without {name}"));
  CHECK(refused(R"(\p{L)", "closing brace"));
  CHECK(refused(R"(\p{NoSuchScript})", "is not supported"));
  CHECK(refused("(?m:a.b)", "(?m"));
  CHECK(refused("a{2}+", "possessive"));
}

TEST_CASE("pattern: a search that explodes ends with an error, not with a hang", "[text]") {
  const Pattern pattern = Pattern::regex("(a+)+$", "tokenizer.json");
  CHECK(input_error([&] { pattern.cut(std::string(64, 'a') + "b"); }).find("failed near byte 0") !=
        std::string::npos);
}

}  // namespace foresight
