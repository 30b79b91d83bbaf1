#include "trainer/base/child_reader.h"

#include <signal.h>
#include <unistd.h>

#include <new>
#include <stdexcept>
#include <vector>

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Catch::Contains;

std::string fault_of_reader(ErrorKind kind, const std::function<std::string()>& read,
                            const ReaderLimits& limits = {}) {
  try {
    read_in_child("a/file.h5", limits, read);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "";
}

TEST_CASE("child reader: the text comes back, from another process") {
  const std::string large(3 << 20, 'x');
  CHECK(read_in_child("file", {}, [&] { return large + std::to_string(::getppid()); }) ==
        large + std::to_string(::getpid()));
  CHECK(read_in_child("file", {}, [] { return std::string(); }).empty());
  CHECK(read_in_child("file", {}, [] { return std::string("\0\1", 2); }) == std::string("\0\1", 2));
}

TEST_CASE("child reader: an error has its kind and message, other exceptions are faults of the program") {
  CHECK(fault_of_reader(ErrorKind::kInput, []() -> std::string {
          throw Error(ErrorKind::kInput, "file: byte 7");
        }) == "file: byte 7");
  CHECK(fault_of_reader(ErrorKind::kResource, []() -> std::string {
          throw Error(ErrorKind::kResource, "no space");
        }) == "no space");
  CHECK(fault_of_reader(ErrorKind::kInternal, []() -> std::string { throw std::logic_error("odd"); }) ==
        "odd");
}

TEST_CASE("child reader: a crash is an error that names the file and the signal") {
  for (const int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    const std::string fault = fault_of_reader(ErrorKind::kInput, [crash] {
      ::kill(::getpid(), crash);
      return std::string();
    });
    CHECK_THAT(fault, Contains("a/file.h5: reading it crashed (") && Contains("record the trace again"));
  }
  CHECK_THAT(fault_of_reader(ErrorKind::kInput, []() -> std::string { ::_exit(0); }),
             Contains("without an answer"));
}

TEST_CASE("child reader: an endless loop ends at the limit of the processor's time") {
  const std::string fault = fault_of_reader(ErrorKind::kInput,
                                            [] {
                                              volatile bool go_on = true;
                                              while (go_on) continue;
                                              return std::string();
                                            },
                                            {.processor_seconds = 1});
  CHECK_THAT(fault, Contains("more than 1 s of the processor"));
}

// AddressSanitizer leaves no room for a limit; ThreadSanitizer ends the process where the standard library
// throws.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("child reader: memory has a limit beyond what the process holds") {
  const auto take = [](std::size_t bytes) {
    return [bytes] {
      const std::vector<char> taken(bytes, 'x');
      return std::string(1, taken[bytes / 2]);
    };
  };
  const ReaderLimits limits{.memory_bytes = 64 << 20};
  CHECK(read_in_child("file", limits, take(32 << 20)) == "x");
  CHECK_THAT(fault_of_reader(ErrorKind::kInput, take(96 << 20), limits),
             Contains("more than 67108864 bytes"));
}
#endif

}  // namespace
}  // namespace foresight
