#include "trainer/base/files.h"
#include "trainer/base/scratch_file.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

void put(ScratchFile& file, std::uint64_t offset, std::string_view text) {
  file.write(offset, std::as_bytes(std::span(text)));
}

std::string got(const ScratchFile& file, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  file.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST_CASE("scratch file: data read back equals what was written, and the folder has no name of it") {
  const TemporaryFolder folder;
  ScratchFile file(folder / "new/rows", 1000);
  CHECK(fs::is_empty(folder / "new"));
  put(file, 700, "behind");
  put(file, 0, "before");
  put(file, 3, "XY");
  CHECK(got(file, 0, 6) == "befXYe");
  CHECK(got(file, 702, 4) == "hind");
  CHECK(got(file, 6, 2) == std::string(2, '\0'));
  CHECK(fs::is_empty(folder / "new"));
}

TEST_CASE("scratch file: a staging file left by a killed run is taken over and removed") {
  const TemporaryFolder folder;
  folder.write(staging_path(folder / "rows").filename().string(), "left over");
  const ScratchFile file(folder / "rows", 10);
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("scratch file: unwritten data, a full disk and a folder that is a file are resource errors") {
  const TemporaryFolder folder;
  const auto message = [](const auto& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kResource);
      return error.what();
    }
    return "";
  };
  const std::string name = (folder / "rows").string();
  ScratchFile file(folder / "rows", 10);
  put(file, 0, "rows");
  CHECK_THAT(message([&] { got(file, 2, 3); }), Contains("cannot read back " + name));
  CHECK_THAT(message([&] { ScratchFile huge(folder / "rows", std::uint64_t{1} << 62); }),
             Contains("cannot write " + name + ": it takes") && Contains("free disk space"));
  folder.write("file", "");
  CHECK_THAT(message([&] { ScratchFile below(folder / "file/rows", 1); }), Contains("cannot create folder"));
  fs::create_directory(staging_path(folder / "taken"));
  CHECK_THAT(message([&] { ScratchFile taken(folder / "taken", 1); }), Contains("cannot write"));
  // What is written through the link meets a device that is always full; only the link is removed.
  fs::create_symlink("/dev/full", staging_path(folder / "full"));
  ScratchFile full(folder / "full", 1);
  CHECK_THAT(message([&] { put(full, 0, "x"); }),
             Contains("no space left on the device") && Contains((folder / "full").string()));
}

TEST_CASE("scratch file: a write that breaks off half-way is a resource error and leaves nothing") {
  const TemporaryFolder folder;
  const ChildResult result = run_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ScratchFile file(folder / "rows", 5000);
    try {
      put(file, 0, std::string(5000, 'n'));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kResource) ::_exit(42);
    }
  });
  CHECK(result.exit_status == 42);
  CHECK(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace foresight
