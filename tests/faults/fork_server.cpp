// Starts a program repeatedly without loading its libraries each time, which takes most of a short run.
//
// Where FORESIGHT_FORK_SERVER is set, main() is not called when the libraries are loaded. Instead each
// request on stdin makes a child by fork, and the child calls main(). A request is a row of texts with a NUL
// after each: working folder, file for stderr, NAME=VALUE..., "--", arguments..., and an empty one. The
// answers on stdout are two lines: the child's process number, and the status that waitpid gives in the end.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): SIGKILL for prctl
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/faults/fault_shim.h"

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

Main program_main = nullptr;

/// The texts of the next request; empty at the end of stdin.
std::vector<std::string> next_request() {
  std::vector<std::string> texts(1);
  char letter = 0;
  while (::read(STDIN_FILENO, &letter, 1) == 1) {
    if (letter != '\0') {
      texts.back() += letter;
    } else if (texts.back().empty()) {
      texts.pop_back();
      return texts;
    } else {
      texts.emplace_back();
    }
  }
  return {};
}

void answer(int number) {
  const std::string line = std::to_string(number) + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::_Exit(1);
}

void redirect(const char* file, int flags, int target) {
  const int descriptor = ::open(file, flags, 0600);
  if (descriptor < 0 || ::dup2(descriptor, target) < 0) std::_Exit(126);
  ::close(descriptor);
}

int be_program(std::vector<std::string>& request, char* name) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  redirect("/dev/null", O_RDONLY, STDIN_FILENO);
  redirect("/dev/null", O_WRONLY, STDOUT_FILENO);
  redirect(request[1].c_str(), O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
  if (::chdir(request[0].c_str()) != 0) std::_Exit(126);
  std::size_t next = 2;
  for (; next < request.size() && request[next] != "--"; ++next) ::putenv(request[next].data());
  fault_shim::read_environment();
  std::vector<char*> values = {name};
  for (++next; next < request.size(); ++next) values.push_back(request[next].data());
  const auto count = static_cast<int>(values.size());
  values.push_back(nullptr);
  return program_main(count, values.data(), ::environ);
}

int serve(int, char** values, char**) {
  while (true) {
    std::vector<std::string> request = next_request();
    if (request.size() < 3) return 0;
    const pid_t child = ::fork();
    if (child < 0) return 1;
    // Outlives main(): the environment points into it.
    if (child == 0) return be_program(*new std::vector<std::string>(std::move(request)), values[0]);
    answer(child);
    int status = 0;
    ::waitpid(child, &status, 0);
    answer(status);
  }
}

}  // namespace

// The C library calls main through this function.
// NOLINTNEXTLINE(readability-identifier-naming): its name there
extern "C" int __libc_start_main(Main main, int count, char** values, void (*init)(), void (*fini)(),
                                 void (*rtld_fini)(), void* stack_end) {
  const auto start = reinterpret_cast<StartMain>(::dlsym(RTLD_NEXT, "__libc_start_main"));
  program_main = main;
  const bool serves = std::getenv("FORESIGHT_FORK_SERVER") != nullptr;
  return start(serves ? serve : main, count, values, init, fini, rtld_fini, stack_end);
}
