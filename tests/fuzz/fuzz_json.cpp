// parse_json_strictly, which reads all JSON.
#include "tests/fuzz/harness.h"
#include "trainer/base/json.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  constexpr int kDepth = 16;
  expect_kept({.name = "in.json"}, input.size(),
              [&] { touch(parse_json_strictly(input, "in.json", kDepth).dump()); });
}

}  // namespace foresight::fuzz
