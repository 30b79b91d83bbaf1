#include "tests/text/compare_fixture.h"

#include <algorithm>

#include "tests/text/fixtures.h"

namespace foresight {

namespace {

using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;

/// How many characters the first `bytes` bytes of `text` touch.
std::size_t characters_touched(const std::string& text, std::size_t bytes) {
  std::size_t characters = 0;
  for (std::size_t index = 0; index < bytes; ++index) {
    if ((static_cast<unsigned char>(text[index]) & 0xC0) != 0x80) ++characters;
  }
  return characters;
}

std::string text_or(const Json& exceptions, std::size_t index, const std::string& otherwise) {
  const auto found = exceptions.find(std::to_string(index));
  return found == exceptions.end() ? otherwise : found->get<std::string>();
}

void compare_ends(const std::string& text, const Encoding& encoding, const Json& expected) {
  std::vector<std::size_t> ends;
  for (const std::size_t end : encoding.ends) ends.push_back(characters_touched(text, end));
  CHECK(std::is_sorted(ends.begin(), ends.end()));
  if (!expected.is_null()) CHECK(ends == expected.get<std::vector<std::size_t>>());
}

}  // namespace

Tokenizer load_fixture(const std::string& name) {
  return Tokenizer::load(fixture_folder() / name);
}

void compare_with_fixture(const Tokenizer& tokenizer, const Json& fixture, const Json& texts) {
  REQUIRE(fixture.at("ids").size() == texts.size());
  for (std::size_t index = 0; index < texts.size(); ++index) {
    const auto text = texts[index].get<std::string>();
    INFO("text " << index << ": " << shown(text));
    const Encoding encoding = tokenizer.encode_with_ends(text);
    CHECK(encoding.tokens == fixture["ids"][index].get<Tokens>());
    CHECK(tokenizer.encode(text) == encoding.tokens);
    const Json& special = fixture["special_ids"].empty() ? Json() : fixture["special_ids"][index];
    CHECK(tokenizer.encode(text, true) == (special.is_null() ? encoding.tokens : special.get<Tokens>()));
    if (!fixture["ends"].empty()) compare_ends(text, encoding, fixture["ends"][index]);
    const std::string decoded = text_or(fixture["decoded"], index, text);
    CHECK(shown(tokenizer.decode(encoding.tokens)) == shown(decoded));
    CHECK(shown(tokenizer.decode(encoding.tokens, true)) ==
          shown(text_or(fixture["decoded_plain"], index, decoded)));
  }
  for (std::size_t index = 0; index < fixture.at("random_ids").size(); ++index) {
    INFO("random ids " << fixture["random_ids"][index].dump());
    CHECK(shown(tokenizer.decode(fixture["random_ids"][index].get<Tokens>())) ==
          shown(fixture["random_decoded"][index].get<std::string>()));
  }
}

}  // namespace foresight
