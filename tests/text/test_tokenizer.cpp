// Against the `tokenizers` library: tests/reference/tokenizer/make_fixture.py.
#include "trainer/text/tokenizer.h"

#include <algorithm>
#include <thread>

#include "tests/text/compare_fixture.h"
#include "tests/text/fixtures.h"
#include "trainer/base/utf8.h"

namespace foresight {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;

void compare_with_fixture(const Tokenizer& tokenizer, const Json& fixture) {
  const Json texts = read_fixture(fixture_folder() / "texts.json");
  REQUIRE(texts.size() >= 500);
  compare_with_fixture(tokenizer, fixture, texts);
}

}  // namespace

TEST_CASE("tokenizer: Digits, ByteLevel and added tokens of every kind encode as in tokenizers", "[text]") {
  const Tokenizer tokenizer = load_fixture("smollm_like");
  compare_with_fixture(tokenizer, read_fixture(fixture_folder() / "smollm_like/fixture.json"));
  CHECK(tokenizer.beginning_of_sequence() == -1);
  CHECK(tokenizer.end_of_sequence() == Tokens{2, 0});  // <|im_end|> by name, then <|endoftext|>
}

TEST_CASE("tokenizer: Split, NFC, ignore_merges and a beginning token encode as in tokenizers", "[text]") {
  const Tokenizer tokenizer = load_fixture("llama3_like");
  compare_with_fixture(tokenizer, read_fixture(fixture_folder() / "llama3_like/fixture.json"));
  CHECK(tokenizer.beginning_of_sequence() == 0);
  CHECK(tokenizer.end_of_sequence() == Tokens{1});
}

TEST_CASE("tokenizer: a prefix space and tokens behind the text encode as in tokenizers", "[text]") {
  const Tokenizer tokenizer = load_fixture("gpt2_like");
  compare_with_fixture(tokenizer, read_fixture(fixture_folder() / "gpt2_like/fixture.json"));
  CHECK(tokenizer.beginning_of_sequence() == 0);
  CHECK(tokenizer.end_of_sequence() == Tokens{1});
}

TEST_CASE("tokenizer: unknown bytes, byte fallback and the converted decoder behave as in tokenizers",
          "[text]") {
  compare_with_fixture(load_fixture("fallback_like"),
                       read_fixture(fixture_folder() / "fallback_like/fixture.json"));
}

TEST_CASE("tokenizer: SmolLM2's own tokenizer encodes as in tokenizers", "[text]") {
  const char* models = std::getenv("FORESIGHT_MODELS_DIR");
  const std::filesystem::path folder =
      (models == nullptr ? source_folder() / "models" : std::filesystem::path(models)) /
      "SmolLM2-135M-Instruct";
  if (!std::filesystem::exists(folder / "tokenizer.json")) {
    WARN("NOT RUN: " << folder.string() << " is not there; make it with scripts/get_model.py");
    return;
  }
  const Tokenizer tokenizer = Tokenizer::load(folder);
  CHECK(tokenizer.vocabulary_size() == 49152);
  CHECK(tokenizer.token_id("<|im_start|>") == 1);
  CHECK(tokenizer.beginning_of_sequence() == -1);
  CHECK(tokenizer.end_of_sequence() == Tokens{2, 0});
  compare_with_fixture(tokenizer, read_fixture(fixture_folder() / "smollm2.json"));
}

TEST_CASE("tokenizer: ids and tokens answer to each other, the rest is refused", "[text]") {
  const Tokenizer tokenizer = load_fixture("smollm_like");
  CHECK(tokenizer.token_id("<|im_end|>") == 2);
  CHECK_FALSE(tokenizer.token_id("no such token").has_value());
  const auto last = static_cast<std::int32_t>(tokenizer.vocabulary_size()) - 1;
  CHECK(tokenizer.decode(Tokens{last}) == "<|im_start|>x");
  CHECK(tokenizer.decode(Tokens{}) == "");
  CHECK(input_error([&] {
          tokenizer.decode(Tokens{0, last + 1});
        }).find("token id " + std::to_string(last + 1)) != std::string::npos);
  CHECK(input_error([&] { tokenizer.decode(Tokens{-1}); }).find("token id -1") != std::string::npos);
  CHECK(input_error([&] { tokenizer.token_bytes(last + 1); }).find("outside the vocabulary") !=
        std::string::npos);
}

TEST_CASE("tokenizer: the fingerprint is the SHA-256 of tokenizer.json", "[text]") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(fixture_folder() / "gpt2_like/tokenizer.json", folder.path() / "tokenizer.json");
  const std::string before = Tokenizer::load(folder.path()).fingerprint();
  CHECK(before == load_fixture("gpt2_like").fingerprint());
  CHECK(before.size() == 64);
  std::ofstream(folder.path() / "tokenizer.json", std::ios::app) << "\n";
  CHECK(Tokenizer::load(folder.path()).fingerprint() != before);
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused with its byte offset", "[text]") {
  const Tokenizer tokenizer = load_fixture("smollm_like");
  for (const std::string bad :
       {"abc\xFF", "abc\xC0\xAF", "abc\xED\xA0\x80", "abc\xF4\x90\x80\x80", "abc\xE2\x82"}) {
    CHECK(input_error([&] { tokenizer.encode(bad); }).find("not UTF-8 at byte 3") != std::string::npos);
  }
}

TEST_CASE("tokenizer: a text beyond 256 MiB is refused", "[text]") {
  const Tokenizer tokenizer = load_fixture("smollm_like");
  const std::string long_text((std::size_t{256} << 20) + 1, ' ');
  CHECK(input_error([&] { tokenizer.encode(long_text); }).find("split it") != std::string::npos);
}

TEST_CASE("tokenizer: a long run without a break is encoded, merged the same at every length", "[text]") {
  const Tokenizer tokenizer = load_fixture("smollm_like");
  for (const std::string unit : {"a", " ", "\n", "\xF0\x9F\x99\x82", "the"}) {
    std::string text;
    while (text.size() < 300000) text += unit;
    const Tokens tokens = tokenizer.encode(text);
    CHECK(tokenizer.decode(tokens) == text);
  }
}

TEST_CASE("tokenizer: threads share one tokenizer", "[text]") {
  const Tokenizer tokenizer = load_fixture("llama3_like");
  const std::string text = "Caf\x65\xCC\x81 12345 tokens, they'll say.\n\n";
  const Tokens expected = tokenizer.encode(text);
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) count += tokenizer.encode(text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4, 0));
}

TEST_CASE("streaming decoder: pieces join to the decoded text and are whole characters", "[text]") {
  for (const std::string name : {"smollm_like", "llama3_like", "gpt2_like"}) {
    const Tokenizer tokenizer = load_fixture(name);
    const Json fixture = read_fixture(fixture_folder() / name / "fixture.json");
    for (const char* list : {"ids", "random_ids"}) {
      for (const Json& ids : fixture.at(list)) {
        StreamingDecoder decoder(tokenizer);
        std::string streamed;
        const auto tokens = ids.get<Tokens>();
        for (const std::int32_t token : tokens) {
          const std::string piece = decoder.push(token);
          REQUIRE_NOTHROW(require_utf8(piece, "piece"));
          streamed += piece;
        }
        streamed += decoder.finish();
        INFO(ids.dump());
        CHECK(shown(streamed) == shown(tokenizer.decode(tokens)));
      }
    }
  }
}

TEST_CASE("streaming decoder: an incomplete character waits, finish() shows it as damaged", "[text]") {
  const Tokenizer tokenizer = load_fixture("gpt2_like");
  // U+10348 (GOTHIC LETTER HWAIR) stands in no training text: four tokens of one byte.
  const Tokens tokens = tokenizer.encode("\xF0\x90\x8D\x88");
  REQUIRE(tokens.size() == 5);  // a prefix space first
  StreamingDecoder decoder(tokenizer);
  CHECK(decoder.push(tokens[0]) == " ");
  CHECK(decoder.push(tokens[1]).empty());
  CHECK(decoder.push(tokens[2]).empty());
  CHECK(decoder.push(tokens[3]).empty());
  CHECK(decoder.push(tokens[4]) == "\xF0\x90\x8D\x88");
  CHECK(decoder.finish().empty());
  CHECK(decoder.push(tokens[1]).empty());
  CHECK(decoder.finish() == "\xEF\xBF\xBD");
  CHECK(decoder.finish().empty());
}

}  // namespace foresight
