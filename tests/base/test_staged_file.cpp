#include "trainer/base/staged_file.h"

#include <filesystem>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

std::size_t entries_of(const std::filesystem::path& folder) {
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++entries;
  return entries;
}

}  // namespace

TEST_CASE("staged file: pieces in any order appear at once, and what was not written is zero", "[base]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "deep/er/file";
  StagedFile file(path, 10);
  file.write(7, "xyz");
  file.write(0, "abc");
  CHECK_FALSE(std::filesystem::exists(path));
  file.publish();
  CHECK(read_file(path) == std::string("abc\0\0\0\0xyz", 10));
  CHECK(entries_of(path.parent_path()) == 1);
}

TEST_CASE("staged file: what is not published leaves nothing behind", "[base]") {
  const TemporaryFolder folder;
  { StagedFile(folder.path() / "file", 100).write(0, "abc"); }
  CHECK(entries_of(folder.path()) == 0);
}

TEST_CASE("staged file: a write beyond the end and a folder that cannot be are errors", "[base]") {
  const TemporaryFolder folder;
  StagedFile file(folder.path() / "file", 4);
  REQUIRE_THROWS_WITH(file.write(2, "abc"), Catch::Contains("3 bytes at 2 of 4"));
  REQUIRE_THROWS_WITH(file.write(5, ""), Catch::Contains("0 bytes at 5 of 4"));
  write_file_atomically(folder.path() / "plain", "x");
  REQUIRE_THROWS_AS(StagedFile(folder.path() / "plain/file", 4), Error);
}
