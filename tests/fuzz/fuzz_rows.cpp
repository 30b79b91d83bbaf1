// JSONL files of traces and of prompts.
#include "data/trace_rows.h"
#include "tests/fuzz/harness.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  const auto path = put_file("rows.jsonl", input);
  const Promise promise{.name = "rows.jsonl"};
  expect_kept(promise, input.size(), [&] { read_trace_rows(path); });
  expect_kept(promise, input.size(), [&] { read_prompt_rows(path); });
}

}  // namespace foresight::fuzz
