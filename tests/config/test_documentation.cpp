#include <cstdlib>
#include <filesystem>

#include "tests/catch.h"
#include "tests/reference/paths.h"
#include "trainer/base/files.h"
#include "trainer/config/load.h"

TEST_CASE("configuration docs: docs/configuration.md is what the declarations give", "[config]") {
  // After a change of the declarations: build/foresight config docs > docs/configuration.md
  CHECK(foresight::read_file(foresight::source_folder() / "docs" / "configuration.md") ==
        foresight::configuration_markdown());
}

TEST_CASE("configs: every config of the repository loads", "[config]") {
  for (const char* name : {"GSM8K_DIR", "MODEL_DIR", "TRACES_DIR"})
    setenv(name, "somewhere", /*overwrite=*/1);
  int configs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(foresight::source_folder() / "configs")) {
    INFO(entry.path().string());
    REQUIRE_NOTHROW(foresight::load_config(entry.path()));
    ++configs;
  }
  CHECK(configs >= 4);
  for (const char* name : {"GSM8K_DIR", "MODEL_DIR", "TRACES_DIR"}) unsetenv(name);
}
