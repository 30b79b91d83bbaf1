// model.safetensors.index.json of a model folder.
#include "tests/fuzz/harness.h"
#include "trainer/model_files/shard_index.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  const auto path = put_file("index.json", input);
  expect_kept({.name = "index.json"}, input.size(), [&] { read_shard_names(path); });
}

}  // namespace foresight::fuzz
