// tokenizer_config.json, generation_config.json and chat_template.jinja, with a NUL between them.
#include "tests/fuzz/harness.h"
#include "trainer/text/chat_template.h"
#include "trainer/text/tokenizer.h"

namespace foresight::fuzz {
namespace {

constexpr const char* kTokenizer =
    R"({"added_tokens": [{"id": 1, "content": "<|im_end|>", "special": true}],
        "pre_tokenizer": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})";

}  // namespace

void fuzz_one(std::string_view input) {
  static const auto kPath = put_file("tokenizer.json", kTokenizer);
  const char* names[] = {"tokenizer_config.json", "generation_config.json", "chat_template.jinja"};
  for (const char* name : names) {
    const std::size_t end = std::min(input.find('\0'), input.size());
    if (end == 0) {
      std::filesystem::remove(work_folder() / name);
    } else {
      put_file(name, input.substr(0, end));
    }
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  const std::string folder = work_folder().string();
  expect_kept({.name = folder}, input.size(), [] { Tokenizer::load(work_folder()); });
  // The output of a template is bounded by its steps, whose limit depends on the messages, not on the
  // template.
  constexpr std::size_t kRendering = std::size_t{64} << 20;
  expect_kept({.name = folder, .fixed_bytes = kRendering}, input.size(), [] {
    const ChatTemplate chat = ChatTemplate::load(work_folder());
    touch(chat.render({{"system", "s"}, {"user", " u\n"}}));
  });
}

}  // namespace foresight::fuzz
