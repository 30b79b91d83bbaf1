#include "trainer/base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

namespace foresight {
namespace {

// There is one stderr in a process, so its state is one too.
struct TerminalLine {
  std::mutex mutex;
  bool drawn = false;
};

TerminalLine& terminal_line() {
  static TerminalLine line;
  return line;
}

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

bool stderr_is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

int terminal_columns() {
  struct winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void draw_terminal_line(const std::string& text) {
  TerminalLine& line = terminal_line();
  const std::lock_guard<std::mutex> lock(line.mutex);
  put("\r" + text + "\x1b[K");
  line.drawn = true;
}

void end_terminal_line() {
  TerminalLine& line = terminal_line();
  const std::lock_guard<std::mutex> lock(line.mutex);
  if (line.drawn) put("\n");
  line.drawn = false;
}

void erase_terminal_line() {
  TerminalLine& line = terminal_line();
  const std::lock_guard<std::mutex> lock(line.mutex);
  if (line.drawn) put("\r\x1b[K");
  line.drawn = false;
}

}  // namespace foresight
