// YAML configurations: the file up to the first NUL, and what follows it as an override.
#include "tests/fuzz/harness.h"
#include "trainer/config/load.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  const std::size_t split = input.find('\0');
  const auto path = put_file("run.yaml", input.substr(0, split));
  std::vector<std::string> overrides;
  if (split != std::string_view::npos) overrides.emplace_back(input.substr(split + 1));
  // A fault of an override is named by the override: "override grpo.steps=x: ...".
  expect_kept({.name = overrides.empty() ? "run.yaml" : ": ", .kind = ErrorKind::kConfig, .many_lines = true},
              input.size(), [&] { touch(to_yaml(load_config(path, overrides))); });
}

}  // namespace foresight::fuzz
