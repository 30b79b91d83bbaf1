#include "trainer/base/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "tests/base/child.h"
#include "tests/catch.h"

namespace foresight {
namespace {

/// 0 where everything is as it should be, else the number of the check.
int checks_with_closed(const std::array<bool, 3>& closed) {
  for (int number = 0; number < 3; ++number) {
    if (closed[static_cast<std::size_t>(number)]) ::close(number);
  }
  if (!hold_standard_descriptors()) return 3;
  if (::open("/dev/null", O_RDWR) < 3) return 4;
  std::array<char, 1> byte{'x'};
  if (closed[0] && (::read(0, byte.data(), 1) >= 0 || errno != EBADF)) return 5;
  for (int number = 1; number < 3; ++number) {
    if (!closed[static_cast<std::size_t>(number)]) continue;
    if (::write(number, byte.data(), 1) >= 0 || errno != EBADF) return 5 + number;
  }
  return 0;
}

TEST_CASE("standard descriptors: no file gets the number of one that was closed, which stays unusable") {
  for (int mask = 0; mask < 8; ++mask) {
    INFO(mask);
    const std::array<bool, 3> closed = {(mask & 1) != 0, (mask & 2) != 0, (mask & 4) != 0};
    CHECK(run_child([&] { ::_exit(checks_with_closed(closed)); }).exit_status == 0);
  }
}

TEST_CASE("standard descriptors: those that are open are left alone") {
  const ChildResult result = run_child([] {
    if (!hold_standard_descriptors() || ::write(STDERR_FILENO, "said", 4) != 4) ::_exit(1);
  });
  CHECK(result.exit_status == 0);
  CHECK(result.stderr_text == "said");
}

}  // namespace
}  // namespace foresight
