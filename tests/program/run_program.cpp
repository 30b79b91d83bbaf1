#include "tests/program/run_program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "tests/base/temporary_folder.h"

namespace foresight {
namespace {

std::filesystem::path folder_from(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr) throw std::runtime_error(std::string(variable) + " is not set: run through ctest");
  return value;
}

/// Everything that may throw is done by the parent: an exception here would unwind into a second test run.
[[noreturn]] void become_program(const std::string& program, const std::filesystem::path& source,
                                 const std::vector<std::string>& arguments, const ProgramLimits& limits,
                                 const std::filesystem::path& out, const std::filesystem::path& err) {
  const auto redirect = [](const std::filesystem::path& file, int flags, int target) {
    const int descriptor = ::open(file.c_str(), flags, 0600);
    if (descriptor < 0 || ::dup2(descriptor, target) < 0) ::_exit(126);
  };
  redirect("/dev/null", O_RDONLY, STDIN_FILENO);
  redirect(out, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
  redirect(err, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
  for (const int descriptor : limits.closed) ::close(descriptor);
  for (const auto& [name, value] : limits.environment) {
    if (::setenv(name.c_str(), value.c_str(), 1) != 0) ::_exit(126);
  }
  if (limits.file_bytes) {
    // Counters of scripts/coverage.sh would end half written.
    ::setenv("GCOV_PREFIX", "/dev/null/none", 1);
    const struct rlimit limit = {*limits.file_bytes, *limits.file_bytes};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(126);
  }
  if (::chdir(source.c_str()) != 0) ::_exit(126);
  std::vector<char*> values = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) values.push_back(const_cast<char*>(argument.c_str()));
  values.push_back(nullptr);
  ::execv(program.c_str(), values.data());
  ::_exit(127);
}

}  // namespace

std::vector<std::string> ProgramResult::lines_with(const std::string& word) const {
  std::vector<std::string> lines;
  std::istringstream stream(err);
  for (std::string line; std::getline(stream, line);) {
    if (line.find(word) != std::string::npos) lines.push_back(line);
  }
  return lines;
}

ProgramResult run_program(const std::vector<std::string>& arguments, const ProgramLimits& limits) {
  const TemporaryFolder folder;
  const auto out = folder / "out", err = folder / "err";
  const std::string program = (folder_from("FORESIGHT_BINARY_DIR") / "foresight").string();
  const std::filesystem::path source = folder_from("FORESIGHT_SOURCE_DIR");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("no child");
  if (child == 0) become_program(program, source, arguments, limits, out, err);
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(out), content_of(err)};
}

}  // namespace foresight
