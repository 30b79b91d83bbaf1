#include "trainer/base/child_reader.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kLimitsMemory = false;  // its shadow memory is terabytes of addresses
#else
constexpr bool kLimitsMemory = true;
#endif

[[noreturn]] void fail(const char* what, int cause) {
  throw Error(ErrorKind::kResource,
              concat("cannot start a process that reads a file: ", what, ": ",
                     std::generic_category().message(cause), "; raise the limit (ulimit -u, ulimit -n)"));
}

/// Addresses that this process has taken, in bytes.
std::uint64_t address_bytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void set_limit(int resource, std::uint64_t value) {
  struct rlimit limit = {};
  ::getrlimit(resource, &limit);
  limit.rlim_cur = limit.rlim_max = std::min<rlim_t>(limit.rlim_max, value);  // the hard one kills at once
  ::setrlimit(resource, &limit);
}

/// The answer of the child: 0 and the text, or the kind of an error and its message.
std::string answer_of(const std::function<std::string()>& read) {
  const auto error = [](ErrorKind kind, const char* message) {
    return std::string(1, static_cast<char>(kind)) + message;
  };
  try {
    return '\0' + read();
  } catch (const Error& fault) {
    return error(fault.kind(), fault.what());
  } catch (const std::bad_alloc&) {
    return error(ErrorKind::kInput, "");
  } catch (const std::exception& fault) {
    return error(ErrorKind::kInternal, fault.what());
  }
}

[[noreturn]] void be_reader(int pipe_end, pid_t parent, const ReaderLimits& limits,
                            const std::function<std::string()>& read) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it ended before the line above
  for (const int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(crash, SIG_DFL);
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_CPU, limits.processor_seconds);
  if (kLimitsMemory) set_limit(RLIMIT_AS, address_bytes() + limits.memory_bytes);
  ::_exit(write_all(pipe_end, answer_of(read)) == 0 ? 0 : 1);
}

std::string read_all(int pipe_end) {
  std::string text;
  std::array<char, 1 << 16> buffer{};
  while (true) {
    const ssize_t got = ::read(pipe_end, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

}  // namespace

std::string read_in_child(const std::filesystem::path& path, const ReaderLimits& limits,
                          const std::function<std::string()>& read) {
  std::array<int, 2> ends{};  // read, write
  if (::pipe(ends.data()) != 0) fail("pipe", errno);
  const pid_t parent = ::getpid(), child = ::fork();
  if (child < 0) {
    const int cause = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    fail("fork", cause);
  }
  if (child == 0) {
    ::close(ends[0]);
    be_reader(ends[1], parent, limits, read);
  }
  ::close(ends[1]);
  const std::string answer = read_all(ends[0]);
  ::close(ends[0]);
  const int status = wait_for(child);
  const auto refuse = [&](const std::string& how) {
    throw Error(ErrorKind::kInput,
                concat(path.string(), ": ", how,
                       ": the file is damaged or malicious; do not use it, record the trace again"));
  };
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGKILL)
      refuse(concat("reading it took more than ", limits.processor_seconds,
                    " s of the processor, or was killed"));
    refuse(concat("reading it crashed (", ::strsignal(WTERMSIG(status)), ")"));
  }
  if (answer.empty() || WEXITSTATUS(status) != 0) refuse("its reader ended without an answer");
  const auto kind = static_cast<ErrorKind>(answer.front());
  if (answer.front() == 0) return answer.substr(1);
  if (answer.size() == 1)
    refuse(concat("reading it takes more than ", limits.memory_bytes, " bytes of memory"));
  throw Error(kind, answer.substr(1));
}

}  // namespace foresight
