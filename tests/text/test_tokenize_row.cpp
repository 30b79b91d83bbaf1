#include "trainer/text/tokenize_row.h"

#include <algorithm>

#include "tests/text/fixtures.h"

namespace foresight {

TEST_CASE("tokenize row: tokens are those of the joined text, wherever it is cut", "[text]") {
  const nlohmann::json texts = read_fixture(fixture_folder() / "texts.json");
  for (const char* name : {"smollm_like", "llama3_like", "gpt2_like", "fallback_like"}) {
    const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / name);
    for (std::size_t index = 0; index < texts.size(); index += 3) {
      const auto text = texts[index].get<std::string>();
      std::size_t cut = text.size() / 2;
      while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) ++cut;
      const TokenRow row = tokenize_row(tokenizer, {text.substr(0, cut), text.substr(cut), {}, "a:1"});
      INFO(name << " " << nlohmann::json(text).dump(-1, ' ', true));
      CHECK(row.tokens == tokenizer.encode(text));
      REQUIRE(row.completion.size() == row.tokens.size());
      CHECK(std::is_sorted(row.completion.begin(), row.completion.end()));  // prompt, then completion
    }
  }
}

TEST_CASE("tokenize row: a token that ends in the completion belongs to it", "[text]") {
  const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / "smollm_like");
  const std::string prompt = "Question: 2+3?\nAnswer:", completion = " It is 5\n\n";
  const TokenRow row = tokenize_row(tokenizer, {prompt, completion, {}, "a:1"});
  CHECK(row.source == "a:1");
  std::string prompt_text, completion_text;
  for (std::size_t index = 0; index < row.tokens.size(); ++index) {
    (row.completion[index] ? completion_text : prompt_text) += tokenizer.token_bytes(row.tokens[index]);
  }
  CHECK(prompt_text == prompt);
  CHECK(completion_text == completion);

  // "the" is one token: cut inside, it goes to the completion.
  REQUIRE(tokenizer.encode(" the").size() == 1);
  CHECK(tokenize_row(tokenizer, {" t", "he", {}, "a:2"}).completion == std::vector<std::uint8_t>{1});
  CHECK(tokenize_row(tokenizer, {" the", "", {}, "a:2"}).completion == std::vector<std::uint8_t>{0});
  CHECK(tokenize_row(tokenizer, {"", " the", {}, "a:2"}).completion == std::vector<std::uint8_t>{1});
  CHECK(tokenize_row(tokenizer, {"", "", {}, "a:2"}).tokens.empty());
}

TEST_CASE("tokenize row: normalisation does not move the border", "[text]") {
  const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / "llama3_like");
  // Decomposed letters before the border: shorter after NFC.
  const std::string decomposed = "e\xCC\x81 a\xCC\x88 o\xCC\x82\xCC\xA3 ";
  const TokenRow row = tokenize_row(tokenizer, {decomposed, "12 apples", {}, "a:1"});
  std::string completion_text;
  for (std::size_t index = 0; index < row.tokens.size(); ++index) {
    if (row.completion[index]) completion_text += tokenizer.token_bytes(row.tokens[index]);
  }
  CHECK(completion_text == "12 apples");
}

TEST_CASE("tokenize row: given tokens are checked and are all completion", "[text]") {
  const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / "smollm_like");
  const TokenRow row = tokenize_row(tokenizer, {"", "", {5, 0, 7}, "a:1"});
  CHECK(row.tokens == std::vector<std::int32_t>{5, 0, 7});
  CHECK(row.completion == std::vector<std::uint8_t>{1, 1, 1});
  CHECK(input_error([&] {
          tokenize_row(tokenizer, {"", "", {5, 99999}, "a:1"});
        }).starts_with("a:1: tokens[1] is 99999"));
  CHECK(input_error([&] {
          tokenize_row(tokenizer, {"", "", {-5}, "a:1"});
        }).starts_with("a:1: tokens[0] is -5"));
  CHECK(input_error([&] {
          tokenize_row(tokenizer, {"x\xFF", "", {}, "a:1"});
        }) == "a:1: not UTF-8 at byte 1");
}

TEST_CASE("tokenize row: generated tokens are used while they decode to the row's text", "[text]") {
  const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / "smollm_like");
  const std::string prompt = "The answer", completion = " is 42";
  // As a model may generate it: byte by byte, not in the tokens of the tokenizer.
  TraceRow row{prompt, completion, tokenizer.encode(prompt), "a:1"};
  row.prompt_tokens = static_cast<std::int64_t>(row.tokens.size());
  for (const char letter : completion) {
    const auto one = tokenizer.encode(std::string(1, letter));
    row.tokens.insert(row.tokens.end(), one.begin(), one.end());
  }
  REQUIRE(row.tokens != tokenizer.encode(prompt + completion));
  const TokenRow kept = tokenize_row(tokenizer, row);
  CHECK(kept.tokens == row.tokens);
  CHECK(std::count(kept.completion.begin(), kept.completion.end(), 0) == row.prompt_tokens);
  CHECK(std::is_sorted(kept.completion.begin(), kept.completion.end()));
  const auto as_text = [&](TraceRow changed) {
    const TokenRow made = tokenize_row(tokenizer, changed);
    CHECK(made.tokens == tokenizer.encode(changed.prompt + changed.completion));
  };
  TraceRow edited = row, other_prompt = row, foreign = row;
  edited.completion = " is 43";
  as_text(edited);
  other_prompt.prompt = "An answer";
  as_text(other_prompt);
  foreign.tokens.back() = 99999;  // another tokenizer's
  as_text(foreign);
}

TEST_CASE("encode prompt: the beginning-of-sequence token appears once", "[text]") {
  const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / "llama31_like");
  const std::int32_t beginning = tokenizer.beginning_of_sequence();
  REQUIRE(beginning >= 0);
  const std::vector<std::int32_t> plain = encode_prompt(tokenizer, "one two");
  CHECK(plain.front() == beginning);
  // As Llama 3's chat template writes it.
  CHECK(encode_prompt(tokenizer, "<|begin_of_text|>one two") == plain);
  CHECK(encode_prompt(tokenizer, "") == std::vector<std::int32_t>{beginning});
  const Tokenizer without = Tokenizer::load(fixture_folder() / "smollm_like");
  CHECK(encode_prompt(without, "one two") == without.encode("one two"));
}

TEST_CASE("completion text: prompt and completion read as the tokens that were generated", "[text]") {
  for (const char* name : {"mistral_like", "mistral_metaspace_like", "llama31_like", "qwen3_like"}) {
    INFO(name);
    const Tokenizer tokenizer = Tokenizer::load(fixture_folder() / name);
    const std::string prompt = "The answer", completion = " is 42, caf\u00e9";
    const auto whole = tokenizer.encode(prompt + completion), start = tokenizer.encode(prompt);
    REQUIRE(std::equal(start.begin(), start.end(), whole.begin()));
    const std::vector<std::int32_t> generated(whole.begin() + static_cast<std::ptrdiff_t>(start.size()),
                                              whole.end());
    CHECK(completion_text(tokenizer, generated) == completion);
  }
}

}  // namespace foresight
