// config.json of a model folder.
#include "tests/fuzz/harness.h"
#include "trainer/model_files/model_shape.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  put_file("config.json", input);
  expect_kept({.name = "config.json"}, input.size(), [] { read_model_shape(work_folder()); });
}

}  // namespace foresight::fuzz
