#include "tests/base/child.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace foresight {
namespace {

[[noreturn]] void be_child(const std::function<void()>& body,
                           const std::map<std::string, std::string>& environment, int stderr_end) {
  ::dup2(stderr_end, STDERR_FILENO);
  for (const auto& [name, value] : environment) {
    if (value.empty()) {
      ::unsetenv(name.c_str());
    } else {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  try {
    body();
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace

ChildResult run_child(const std::function<void()>& body,
                      const std::map<std::string, std::string>& environment, int terminal_columns) {
  std::array<int, 2> ends{-1, -1};  // read, write
  if (terminal_columns > 0) {
    struct winsize size = {};
    size.ws_row = 24;
    size.ws_col = static_cast<unsigned short>(terminal_columns);
    if (::openpty(&ends[0], &ends[1], nullptr, nullptr, &size) != 0)
      throw std::runtime_error("no pseudo-terminal");
  } else if (::pipe(ends.data()) != 0) {
    throw std::runtime_error("no pipe");
  }
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no child");
  if (child == 0) {
    ::close(ends[0]);
    be_child(body, environment, ends[1]);
  }
  ::close(ends[1]);
  ChildResult result;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(ends[0], buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;  // a terminal without its other end says EIO
    result.stderr_text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return result;
}

}  // namespace foresight
