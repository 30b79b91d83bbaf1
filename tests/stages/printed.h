// What a command writes to the descriptor of stdout.
#pragma once

#include <unistd.h>

#include <iostream>
#include <string>

#include "tests/base/temporary_folder.h"
#include "trainer/base/files.h"

#include <fcntl.h>

namespace foresight {

/// Runs `action` with stdout in a file and returns what it printed, as far as it came.
template <class Action>
std::string printed(const Action& action) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "stdout";
  std::cout << std::flush;
  const int before = ::dup(STDOUT_FILENO), own = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ::dup2(own, STDOUT_FILENO);
  const auto restore = [&] {
    ::dup2(before, STDOUT_FILENO);
    ::close(before);
    ::close(own);
  };
  try {
    action();
  } catch (...) {
    restore();
    throw;
  }
  restore();
  return read_file(file);
}

}  // namespace foresight
