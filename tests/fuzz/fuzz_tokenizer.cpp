// tokenizer.json, and what a tokenizer that loads does with a text.
#include "tests/fuzz/harness.h"
#include "trainer/text/tokenizer.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  put_file("tokenizer.json", input);
  expect_kept({.name = "tokenizer.json"}, input.size(), [] {
    const Tokenizer tokenizer = Tokenizer::load(work_folder());
    const std::string text = " Ab1 23\n\tb\u00e4r  <|end|> e\u0301\U0001f600's  abcab ";
    const std::vector<std::int32_t> tokens = tokenizer.encode(text, /*add_special_tokens=*/true);
    touch(tokenizer.decode(tokens));
    StreamingDecoder decoder(tokenizer);
    for (const std::int32_t token : tokens) touch(decoder.push(token));
    touch(decoder.finish());
  });
}

}  // namespace foresight::fuzz
