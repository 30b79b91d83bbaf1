// How OpenMP's threads wait between parallel regions. libgomp lets them spin for milliseconds, which takes
// the core from other processes: two runs of two threads on two cores were five times as slow as one
// (docs/performance.md). libgomp reads its settings from the environment before main() begins. Unless the
// user has set how to wait, the program therefore starts itself once more with a bound on the spinning,
// before any library has done anything.
#include <sys/auxv.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace foresight {
namespace {

// Some hundred microseconds: regions that follow one another in a pass are seldom further apart, and on a
// virtual machine a thread that sleeps takes long to wake (docs/performance.md, "Waiting").
char spin_count[] = "GOMP_SPINCOUNT=5000";  // NOLINT(modernize-avoid-c-arrays): execve wants char*

bool says_how_to_wait(std::string_view variable) {
  return variable.starts_with("OMP_WAIT_POLICY=") || variable.starts_with("GOMP_SPINCOUNT=");
}

/// Neither the standard library nor a sanitizer is ready yet: this only uses system calls and the stack.
__attribute__((no_sanitize("address", "undefined"))) void bound_spinning(int /*count*/, char** values,
                                                                         char** environment) {
  constexpr std::size_t kMostVariables = 4096;
  if (::getauxval(AT_BASE) == 0) return;  // started by naming the loader: its own command line is not known
  std::array<char*, kMostVariables + 2>
      changed;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  std::size_t variables = 0;
  for (; environment[variables] != nullptr; ++variables) {
    if (variables == kMostVariables || says_how_to_wait(environment[variables])) return;
    changed[variables] = environment[variables];
  }
  changed[variables] = spin_count;
  changed[variables + 1] = nullptr;
  std::array<char, 4096> program;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by readlink
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size() - 1);
  if (length <= 0) return;
  program[static_cast<std::size_t>(length)] = '\0';
  ::execve(program.data(), values, changed.data());  // where it fails, the threads spin
}

using BeforeLibraries = void (*)(int, char**, char**);
__attribute__((section(".preinit_array"), used)) const BeforeLibraries kBeforeLibraries = bound_spinning;

}  // namespace
}  // namespace foresight
