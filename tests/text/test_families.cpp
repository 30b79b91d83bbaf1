// The pipelines of the model families against the `tokenizers` library:
// tests/reference/tokenizer/make_family_fixtures.py.
#include "tests/text/compare_fixture.h"
#include "tests/text/fixtures.h"

namespace foresight {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;

Tokenizer compare_family(const std::string& name) {
  const Tokenizer tokenizer = load_fixture(name);
  const Json texts = read_fixture(fixture_folder() / "family_texts.json");
  REQUIRE(texts.size() >= 200);
  compare_with_fixture(tokenizer, read_fixture(fixture_folder() / name / "fixture.json"), texts);
  return Tokenizer::load(fixture_folder() / name);
}

}  // namespace

TEST_CASE("family: Llama 3 encodes and decodes as in tokenizers", "[text]") {
  const Tokenizer tokenizer = compare_family("llama31_like");
  CHECK(tokenizer.beginning_of_sequence() == tokenizer.token_id("<|begin_of_text|>"));
  CHECK(tokenizer.end_of_sequence() == Tokens{*tokenizer.token_id("<|eot_id|>")});
}

TEST_CASE("family: Qwen2, Qwen2.5 and Qwen3 encode and decode as in tokenizers", "[text]") {
  for (const std::string name : {"qwen2_like", "qwen3_like"}) {
    INFO(name);
    const Tokenizer tokenizer = compare_family(name);
    CHECK(tokenizer.beginning_of_sequence() == -1);
    CHECK(tokenizer.end_of_sequence() ==
          Tokens{*tokenizer.token_id("<|im_end|>"), *tokenizer.token_id("<|endoftext|>")});
    CHECK(tokenizer.token_id("</think>").has_value() == (name == "qwen3_like"));
  }
}

TEST_CASE("family: DeepSeek's distills and DeepSeek-V3 encode and decode as in tokenizers", "[text]") {
  for (const std::string name : {"deepseek_qwen_like", "deepseek_llama_like", "deepseek_v3_like"}) {
    INFO(name);
    const Tokenizer tokenizer = compare_family(name);
    CHECK(tokenizer.beginning_of_sequence() ==
          tokenizer.token_id("<\uff5cbegin\u2581of\u2581sentence\uff5c>"));
    CHECK(tokenizer.end_of_sequence() ==
          Tokens{*tokenizer.token_id("<\uff5cend\u2581of\u2581sentence\uff5c>")});
  }
}

TEST_CASE("family: Mistral with Prepend and Replace, with Metaspace, and Tekken are as in tokenizers",
          "[text]") {
  for (const std::string name : {"mistral_like", "mistral_metaspace_like", "tekken_like"}) {
    INFO(name);
    const Tokenizer tokenizer = compare_family(name);
    CHECK(tokenizer.beginning_of_sequence() == tokenizer.token_id("<s>"));
    CHECK(tokenizer.end_of_sequence().front() == tokenizer.token_id("</s>"));
  }
  compare_family("metaspace_split_like");
}

TEST_CASE("family: Phi-3, Phi-4 and Phi-4-mini encode and decode as in tokenizers", "[text]") {
  CHECK(compare_family("phi3_like").beginning_of_sequence() == -1);
  const Tokenizer phi4 = compare_family("phi4_like");
  CHECK(phi4.end_of_sequence() == Tokens{*phi4.token_id("<|im_end|>"), *phi4.token_id("<|endoftext|>")});
  // A role token takes the blanks on its sides, as it does in training.
  CHECK(phi4.encode("a  <|im_start|> \n b") ==
        Tokens{phi4.encode("a").front(), *phi4.token_id("<|im_start|>"), phi4.encode("b").front()});
  compare_family("phi4_mini_like");
}

TEST_CASE("family: gpt-oss, OLMo-2 and SmolLM3 encode and decode as in tokenizers", "[text]") {
  const Tokenizer gpt_oss = compare_family("gpt_oss_like");
  CHECK(gpt_oss.end_of_sequence() ==
        Tokens{*gpt_oss.token_id("<|return|>"), *gpt_oss.token_id("<|endoftext|>")});
  for (const std::string name : {"olmo2_like", "smollm3_like"}) {
    INFO(name);
    CHECK(compare_family(name).beginning_of_sequence() == -1);
  }
}

TEST_CASE("family: Gemma 2 and 3 encode and decode as in tokenizers", "[text]") {
  const Tokenizer tokenizer = compare_family("gemma_like");
  CHECK(tokenizer.beginning_of_sequence() == tokenizer.token_id("<bos>"));
  CHECK(tokenizer.end_of_sequence().front() == tokenizer.token_id("<eos>"));
  CHECK(tokenizer.decode(tokenizer.encode(" x  y")) == " x  y");
}

TEST_CASE("family: a SentencePiece-like token keeps its blank when it is streamed", "[text]") {
  const Tokenizer tokenizer = load_fixture("mistral_like");
  const Tokens tokens = tokenizer.encode("the token \U0001f642");
  CHECK(tokenizer.decode(tokens) == "the token \U0001f642");
  StreamingDecoder decoder(tokenizer);
  std::string streamed;
  for (const std::int32_t token : tokens) streamed += decoder.push(token);
  CHECK(streamed + decoder.finish() == " the token \U0001f642");
  CHECK(tokenizer.token_bytes(*tokenizer.token_id("<0xF0>")) == "\xF0");
}

}  // namespace foresight
