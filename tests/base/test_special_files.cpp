// Devices, pipes, sockets and links are never replaced by a file.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

// The message of the Error(kResource) that writing to `path` throws; empty when it throws none.
std::string fault_of(const fs::path& path) {
  try {
    write_file_atomically(path, "new");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
    return error.what();
  }
  return "";
}

TEST_CASE("write_file_atomically: the file behind a symbolic link is written, and the link stays") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "deep");
  folder.write("deep/file", "old");
  fs::create_symlink("deep/file", folder / "relative");
  fs::create_symlink(folder / "relative", folder / "absolute");
  write_file_atomically(folder / "absolute", "new");
  CHECK(content_of(folder / "deep/file") == "new");
  CHECK(fs::read_symlink(folder / "absolute") == folder / "relative");
  CHECK(fs::read_symlink(folder / "relative") == "deep/file");
  CHECK(std::distance(fs::directory_iterator(folder / "deep"), fs::directory_iterator()) == 1);
}

TEST_CASE("write_file_atomically: a link to nothing gets its file, links in a circle are refused") {
  const TemporaryFolder folder;
  fs::create_symlink("later/file", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(content_of(folder / "later/file") == "new");
  CHECK(fs::is_symlink(folder / "link"));
  fs::create_symlink("one", folder / "two");
  fs::create_symlink("two", folder / "one");
  CHECK_THAT(fault_of(folder / "one"), Contains("one: Too many levels of symbolic links"));
  CHECK(fs::is_symlink(folder / "one"));
}

TEST_CASE("write_file_atomically: a device is written to and stays one") {
  const TemporaryFolder folder;
  fs::create_symlink("/dev/full", folder / "full");
  CHECK_THAT(fault_of(folder / "full"), Contains("no space left on the device"));
  CHECK(fs::is_symlink(folder / "full"));
  CHECK(fs::is_character_file("/dev/full"));
  fs::create_symlink("/dev/null", folder / "null");
  CHECK(fault_of(folder / "null").empty());
  CHECK(fs::is_character_file("/dev/null"));
  CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()) == 2);
}

TEST_CASE("write_file_atomically: a pipe is written to; without a reader it is an error, not a wait") {
  const TemporaryFolder folder;
  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(fault_of(pipe), Contains("pipe") && Contains("nobody reads from"));
  CHECK(fs::is_fifo(pipe));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  write_file_atomically(pipe, "through");
  std::array<char, 16> got{};
  CHECK(::read(reader, got.data(), got.size()) == 7);
  CHECK(std::string(got.data()) == "through");
  ::close(reader);
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("write_file_atomically: a socket and an open file of a process are refused and stay") {
  const TemporaryFolder folder;
  const fs::path path = folder / "socket";
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(socket, reinterpret_cast<const struct sockaddr*>(&address), sizeof(address)) == 0);
  CHECK_THAT(fault_of(path), Contains("is a device, pipe or socket"));
  CHECK(fs::is_socket(path));
  ::close(socket);
  const int file = ::open(folder.write("file", "kept").c_str(), O_RDONLY | O_CLOEXEC);
  CHECK_THAT(fault_of("/proc/self/fd/" + std::to_string(file)), Contains("name the file itself"));
  ::close(file);
  CHECK(content_of(folder / "file") == "kept");
}

TEST_CASE("publish: a pipe in the place of the file is refused and stays") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "final").c_str(), 0600) == 0);
  const fs::path staging = folder.write("staged", "x");
  CHECK_THROWS_WITH(publish(staging, folder / "final"), Contains("is a device, pipe or socket"));
  CHECK(fs::is_fifo(folder / "final"));
  CHECK(content_of(staging) == "x");
}

TEST_CASE("refuse_lfs_pointer: what Git LFS leaves in place of a file is named, other content is not") {
  CHECK_NOTHROW(refuse_lfs_pointer("version 1 of a text", "a.txt"));
  try {
    refuse_lfs_pointer("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
                       "m/x.bin");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK_THAT(error.what(), Contains("m/x.bin: the pointer that Git LFS") && Contains("git lfs pull"));
  }
}

}  // namespace
}  // namespace foresight
