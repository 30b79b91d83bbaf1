#include "trainer/base/files.h"
#include "trainer/base/folder_path.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/base/child.h"
#include "tests/base/error_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/await_file.h"
#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST_CASE("read_file: the whole content comes back, whatever bytes it holds") {
  const TemporaryFolder folder;
  CHECK(read_file(folder.write("empty", "")).empty());
  std::string bytes;
  for (int i = 0; i < 600000; ++i) bytes += static_cast<char>(i % 256);
  CHECK(read_file(folder.write("bytes", bytes)) == bytes);
  // A file whose size is not known beforehand.
  CHECK_FALSE(read_file("/proc/self/status").empty());
}

TEST_CASE("read_file: a missing file and a folder are input errors that name the path") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_file(folder / "absent"); }),
             Contains((folder / "absent").string()) && Contains("No such file"));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_file(folder.path()); }), Contains("directory"));
}

TEST_CASE("write_file_atomically: writes, replaces, creates folders, leaves no staging file") {
  const TemporaryFolder folder;
  const fs::path path = folder / "new/deep/file.txt";
  write_file_atomically(path, "first");
  CHECK(content_of(path) == "first");
  const std::string second(3000000, 'x');
  write_file_atomically(path, second);
  CHECK(content_of(path) == second);
  write_file_atomically(path, "");
  CHECK(content_of(path).empty());
  CHECK(entries(folder / "new/deep") == 1);
}

TEST_CASE("write_file_atomically: a relative path without a folder is written in the working folder") {
  const TemporaryFolder folder;
  const ChildResult result = run_child([&] {
    fs::current_path(folder.path());
    write_file_atomically("bare.txt", "content");
  });
  CHECK(result.exit_status == 0);
  CHECK(content_of(folder / "bare.txt") == "content");
}

TEST_CASE("write_file_atomically: a staging file left by a killed run is overwritten") {
  const TemporaryFolder folder;
  folder.write("file.foresight.partial", "a much longer left-over");
  write_file_atomically(folder / "file", "new");
  CHECK(content_of(folder / "file") == "new");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("write_file_atomically: a parent that is a file is a resource error") {
  const TemporaryFolder folder;
  folder.write("parent", "a file");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_file_atomically(folder / "parent/child", "x"); }),
             Contains((folder / "parent").string()));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_file_atomically(folder / "parent/a/b", "x"); }),
             Contains("cannot create folder"));
  CHECK(content_of(folder / "parent") == "a file");
}

TEST_CASE("write_file_atomically: a target that is a folder is refused and nothing is left") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "target");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_file_atomically(folder / "target", "x"); }),
             Contains("cannot rename") && Contains((folder / "target").string()));
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("write_file_atomically: a read-only folder is refused and nothing is left") {
  if (::geteuid() == 0) {
    WARN("not run: root may write into read-only folders");
    return;
  }
  const TemporaryFolder folder;
  fs::create_directory(folder / "locked");
  fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_file_atomically(folder / "locked/file", "x"); }),
             Contains("cannot write"));
  CHECK(entries(folder / "locked") == 0);
  fs::permissions(folder / "locked", fs::perms::owner_all);
}

TEST_CASE("write_file_atomically: a full device keeps the old file and removes the staging file") {
  const TemporaryFolder folder;
  folder.write("file", "old");
  // The link leads to a device that is always full.
  fs::create_symlink("/dev/full", folder / "file.foresight.partial");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_file_atomically(folder / "file", "new"); }),
             Contains("no space left on the device") && Contains((folder / "file").string()));
  CHECK(content_of(folder / "file") == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("write_file_atomically: a write that breaks off half-way leaves the old file only") {
  const TemporaryFolder folder;
  folder.write("file", "old");
  const ChildResult result = run_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file_atomically(folder / "file", std::string(5000, 'n'));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kResource) ::_exit(42);
    }
  });
  CHECK(result.exit_status == 42);
  CHECK(content_of(folder / "file") == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("write_file_atomically: parts are written one behind the other") {
  const TemporaryFolder folder;
  const std::string large(3000000, 'x');
  const std::string middling(700000, 'y');
  const std::vector<std::string_view> parts = {"head", "", large, middling, middling, "tail"};
  write_file_atomically(folder / "new/file", parts);
  CHECK(content_of(folder / "new/file") == "head" + large + middling + middling + "tail");
  CHECK(entries(folder / "new") == 1);
}

TEST_CASE("create_folders: a folder that another process is about to create is not taken for a file") {
  const TemporaryFolder folder;
  const std::filesystem::path place = folder / "run";
  std::atomic<bool> is_done = false;
  std::thread other([&] {
    while (!is_done) {
      std::filesystem::create_directory(place);
      std::filesystem::remove(place);
    }
  });
  constexpr int kLooks = 20000;
  int mistaken = 0;
  for (int i = 0; i < kLooks; ++i) {
    try {
      require_no_file_in_the_way(place);
    } catch (const Error&) {
      ++mistaken;
    }
  }
  is_done = true;
  other.join();
  CHECK(mistaken == 0);
}

TEST_CASE("create_folders: missing ancestors are made, what is there stays, a file in the way is named") {
  const TemporaryFolder folder;
  create_folders(folder / "a/b/c");
  CHECK(fs::is_directory(folder / "a/b/c"));
  folder.write("a/b/file", "x");
  CHECK_NOTHROW(create_folders(folder / "a/b/"));
  CHECK(content_of(folder / "a/b/file") == "x");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { create_folders(folder / "a/b/file/c"); }),
             Contains("cannot create folder") && Contains((folder / "a/b/file").string() + " is a file"));
  fs::create_symlink("absent", folder / "link");
  for (const char* path : {"link", "link/", "link/a"}) {
    CHECK_THAT(error_of(ErrorKind::kResource, [&] { require_no_file_in_the_way(folder / path); }),
               Contains((folder / "link").string() + " is a link that leads to no folder"));
  }
  CHECK_NOTHROW(require_no_file_in_the_way(folder / "a/new/er"));
}

TEST_CASE("sync_path: files and folders can be synced, a missing one is a resource error") {
  const TemporaryFolder folder;
  sync_path(folder.write("file", "x"));
  sync_path(folder.path());
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { sync_path(folder / "absent"); }), Contains("cannot sync"));
}

TEST_CASE("staging_path: the same folder with a suffix that only the program uses") {
  CHECK(staging_path("a/b.h5") == fs::path("a/b.h5.foresight.partial"));
  CHECK(staging_path("a/step_10/") == fs::path("a/step_10.foresight.partial"));
  CHECK(is_staging_path(staging_path("a/b.h5")));
  CHECK_FALSE(is_staging_path("a/b.h5"));
  CHECK_FALSE(is_staging_path("a.foresight.partial/b"));
}

TEST_CASE("publish: a file replaces the file before it") {
  const TemporaryFolder folder;
  folder.write("final", "old");
  const fs::path staging = folder.write("final.foresight.partial", "new");
  publish(staging, folder / "final");
  CHECK(content_of(folder / "final") == "new");
  CHECK_FALSE(fs::exists(staging));
}

TEST_CASE("publish: a folder moves with all it holds") {
  const TemporaryFolder folder;
  const fs::path staging = folder / "step_1.foresight.partial";
  fs::create_directories(staging / "sub/empty");
  folder.write("step_1.foresight.partial/one", "1");
  folder.write("step_1.foresight.partial/sub/two", "2");
  fs::create_symlink("nowhere", staging / "dangling");
  publish(staging, folder / "runs/step_1");
  CHECK(content_of(folder / "runs/step_1/one") == "1");
  CHECK(content_of(folder / "runs/step_1/sub/two") == "2");
  CHECK(fs::is_directory(folder / "runs/step_1/sub/empty"));
  CHECK(fs::is_symlink(folder / "runs/step_1/dangling"));
  CHECK_FALSE(fs::exists(staging));
}

TEST_CASE("publish: an existing folder is never replaced, not even an empty one") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "final");
  fs::create_directory(folder / "final.foresight.partial");
  const auto publish_it = [&] { publish(folder / "final.foresight.partial", folder / "final"); };
  CHECK_THAT(error_of(ErrorKind::kResource, publish_it), Contains("already exists"));
  CHECK(fs::exists(folder / "final.foresight.partial"));
  folder.write("file", "x");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { publish(folder / "file", folder / "final"); }),
             Contains("already exists"));
  CHECK_THAT(
      error_of(ErrorKind::kResource, [&] { publish(folder / "final.foresight.partial", folder / "file"); }),
      Contains("already exists"));
  CHECK(content_of(folder / "file") == "x");
}

TEST_CASE("publish: a missing staging path is a resource error") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { publish(folder / "absent", folder / "final"); }),
             Contains("absent") && Contains("No such file"));
}

// FIPS 180-4 / NIST CAVP example vectors.
TEST_CASE("sha256: the NIST vectors") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: a file has the digest of its bytes, a missing one is an input error") {
  const TemporaryFolder folder;
  CHECK(sha256_file_hex(folder.write("abc", "abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_file_hex(folder.write("empty", "")) == sha256_hex(""));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { sha256_file_hex(folder / "absent"); }), Contains("absent"));
}

TEST_CASE("free_disk_bytes: for a path that does not exist yet, its nearest ancestor counts") {
  const TemporaryFolder folder;
  const auto free = free_disk_bytes(folder / "not/yet/there");
  CHECK(free > 0);
  CHECK(free <= fs::space(folder.path()).capacity);
  CHECK(free_disk_bytes("relative_and_absent") > 0);
}

TEST_CASE("MappedFile: the bytes are the file's, also after a move") {
  const TemporaryFolder folder;
  const fs::path path = folder.write("file", "mapped bytes");
  const auto text = [](const MappedFile& file) {
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  };
  MappedFile first(path);
  CHECK(text(first) == "mapped bytes");
  CHECK(first.path() == path);
  MappedFile second(std::move(first));
  CHECK(text(second) == "mapped bytes");
  MappedFile third(folder.write("other", "other"));
  third = std::move(second);
  CHECK(text(third) == "mapped bytes");
  CHECK(third.path() == path);
  CHECK(MappedFile(folder.write("empty", "")).bytes().empty());
}

TEST_CASE("MappedFile: a path that is not a regular file is an input error") {
  const TemporaryFolder folder;
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { MappedFile mapped(folder / "absent"); }), Contains("absent"));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { MappedFile mapped(folder.path()); }),
             Contains("regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { MappedFile mapped(folder / "pipe"); }),
             Contains("regular file"));
  CHECK_THAT(error_of(ErrorKind::kInput, [] { MappedFile mapped("/dev/zero"); }), Contains("regular file"));
}

TEST_CASE("files: a file of another host is waited for, with heartbeats, up to a limit") {
  const TemporaryFolder folder;
  int beats = 0;
  set_heartbeat([&] {
    if (++beats == 3) folder.write("late", "x");
  });
  await_file(folder / "late");
  CHECK(beats == 3);
  await_file(folder / "late");
  CHECK(beats == 3);
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { await_file(folder / "never", 0.1); }),
             Contains("never: another rank of the job wrote it 0.1 s ago") && Contains("`output`"));
  set_heartbeat({});
}

TEST_CASE("files: reading, writing and digests of large files beat") {
  const TemporaryFolder folder;
  // In a process of its own, because other tests check the peak memory of this one.
  const ChildResult result = run_child([&] {
    const std::string large(std::size_t{200} << 20, 'x');  // in pieces of 64 MiB
    const auto require_beats = [](const std::function<void()>& work) {
      int beats = 0;
      set_heartbeat([&] { ++beats; });
      work();
      set_heartbeat({});
      if (beats < 4) throw std::runtime_error("too few beats");
    };
    require_beats([&] { write_file_atomically(folder / "large", large); });
    require_beats([&] { sha256_file_hex(folder / "large"); });
    require_beats([&] { read_file(folder / "large"); });
  });
  CHECK(result.exit_status == 0);
}

}  // namespace
}  // namespace foresight
