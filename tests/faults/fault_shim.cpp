// A library for LD_PRELOAD that counts the calls by which a program changes the files below one folder, and
// disturbs one of them. It writes nothing into that folder itself. Driven by tests/faults/fault_matrix.py.
//
// Environment:
//   FORESIGHT_FAULT_FOLDER  absolute path without links; calls on other files are left alone
//   FORESIGHT_FAULT_REPORT  file outside of it that gets one line per call: number, kind, result, bytes asked
//                           for, path and (rename) new path, with tabs between; the disturbed call's line
//                           starts with "!"
//   FORESIGHT_FAULT_CALL    number of the call to disturb, from 1; 0: none
//   FORESIGHT_FAULT_KIND    kill: SIGKILL before the call; kill_half: SIGKILL once half of the bytes are
//                           written; short: half of the bytes are written, as the caller is told; eio: this
//                           call fails; enospc: this call fails, and all later ones that take up space
//
// Writes of stdio are invisible here (they are calls inside the C library); the driver detects them, because
// it adds up the bytes of every file.
#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill is POSIX, <csignal> need not have it
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/faults/fault_shim.h"

namespace {

enum class Fault { kNone, kKill, kKillHalf, kShort, kEio, kEnospc };

/// The settings in the environment; `folder` is empty without any.
struct Plan {
  std::array<char, PATH_MAX> folder{};
  int report = -1;
  long call = 0;
  Fault fault = Fault::kNone;
};

Fault fault_named(const char* name) {
  if (name == nullptr) return Fault::kNone;
  if (std::strcmp(name, "kill") == 0) return Fault::kKill;
  if (std::strcmp(name, "kill_half") == 0) return Fault::kKillHalf;
  if (std::strcmp(name, "short") == 0) return Fault::kShort;
  if (std::strcmp(name, "eio") == 0) return Fault::kEio;
  if (std::strcmp(name, "enospc") == 0) return Fault::kEnospc;
  return Fault::kNone;
}

int open_directly(int folder, const char* path, int flags, mode_t mode) {
  return static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
}

Plan read_plan() {
  Plan wanted;
  const char* folder = std::getenv("FORESIGHT_FAULT_FOLDER");
  const char* report = std::getenv("FORESIGHT_FAULT_REPORT");
  if (folder == nullptr || report == nullptr || std::strlen(folder) >= wanted.folder.size()) return wanted;
  std::strcpy(wanted.folder.data(), folder);
  wanted.report = open_directly(AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const char* call = std::getenv("FORESIGHT_FAULT_CALL");
  wanted.call = call == nullptr ? 0 : std::atol(call);
  wanted.fault = fault_named(std::getenv("FORESIGHT_FAULT_KIND"));
  return wanted;
}

Plan& plan() {
  static Plan made = read_plan();
  return made;
}

using Path = std::array<char, PATH_MAX>;

/// The file behind a descriptor; empty when there is none.
Path path_of(int descriptor) {
  std::array<char, 64> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
  Path path{};
  const long length = ::syscall(SYS_readlinkat, AT_FDCWD, link.data(), path.data(), path.size() - 1);
  path[static_cast<std::size_t>(std::max(length, 0L))] = '\0';
  return path;
}

/// `name` made absolute, from the working folder or from an open one.
Path path_of(int folder, const char* name) {
  Path path{};
  if (name[0] != '/') {
    if (folder == AT_FDCWD) {
      if (::syscall(SYS_getcwd, path.data(), path.size()) <= 0) return {};
    } else {
      path = path_of(folder);
    }
    std::strncat(path.data(), "/", path.size() - std::strlen(path.data()) - 1);
  }
  while (name[0] == '.' && name[1] == '/') name += 2;
  std::strncat(path.data(), name, path.size() - std::strlen(path.data()) - 1);
  return path;
}

bool counts(const Path& path) {
  const std::size_t length = std::strlen(plan().folder.data());
  return length > 0 && std::strncmp(path.data(), plan().folder.data(), length) == 0 &&
         (path[length] == '/' || path[length] == '\0');
}

/// One call on a counted file.
class Call {
 public:
  Call(const char* kind, std::size_t bytes, const Path& path, const Path& second = {})
      : kind_(kind), bytes_(bytes), path_(path), second_(second) {
    if (!counts(path) && !counts(second)) return;
    static std::atomic<long> calls{0};
    number_ = ++calls;
    disturbed_ = number_ == plan().call;
    if (disturbed_) disk_state().store(plan().fault);
    if (disturbed_) report("!", 0);
    if (disturbed_ && plan().fault == Fault::kKill) end_process();
  }

  /// True when the call must not happen: errno says why, and -1 is its result.
  bool fails() {
    if (number_ == 0) return false;
    int cause = 0;
    if (disturbed_ && plan().fault == Fault::kEio) cause = EIO;
    if (disk_state().load() == Fault::kEnospc && (disturbed_ || takes_space())) cause = ENOSPC;
    if (cause == 0) return false;
    report("", -cause);
    errno = cause;
    return true;
  }

  /// How many of its bytes a write may write.
  std::size_t allowed() const {
    const bool half = disturbed_ && (plan().fault == Fault::kShort || plan().fault == Fault::kKillHalf);
    return half ? (bytes_ + 1) / 2 : bytes_;
  }

  /// Passes the result on.
  long done(long result) {
    if (number_ == 0) return result;
    const int cause = errno;
    if (disturbed_ && plan().fault == Fault::kKillHalf) end_process();
    report("", result < 0 ? -cause : result);
    errno = cause;
    return result;
  }

 private:
  /// kEnospc once the disk is full.
  static std::atomic<Fault>& disk_state() {
    static std::atomic<Fault> state{Fault::kNone};
    return state;
  }

  [[noreturn]] static void end_process() {
    ::syscall(SYS_kill, ::getpid(), SIGKILL);
    while (true) ::pause();
  }

  bool takes_space() const {
    return std::strcmp(kind_, "fsync") != 0 && std::strcmp(kind_, "unlink") != 0 &&
           std::strcmp(kind_, "truncate") != 0;
  }

  void report(const char* mark, long result) const {
    std::array<char, 2 * PATH_MAX + 100> line{};
    const int length = std::snprintf(line.data(), line.size(), "%s%ld\t%s\t%ld\t%zu\t%s\t%s\n", mark, number_,
                                     kind_, result, bytes_, path_.data(), second_.data());
    ::syscall(SYS_write, plan().report, line.data(), static_cast<std::size_t>(length));
  }

  const char* kind_;
  std::size_t bytes_;
  Path path_, second_;
  long number_ = 0;  ///< 0: not counted
  bool disturbed_ = false;
};

int open_counted(int folder, const char* path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return open_directly(folder, path, flags, mode);
  Call call("create", 0, path_of(folder, path));
  return call.fails() ? -1 : static_cast<int>(call.done(open_directly(folder, path, flags, mode)));
}

mode_t mode_argument(int flags, std::va_list arguments) {
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return creates ? static_cast<mode_t>(va_arg(arguments, unsigned)) : 0;
}

ssize_t write_counted(int descriptor, const void* buffer, std::size_t bytes) {
  Call call("write", bytes, path_of(descriptor));
  return call.fails() ? -1 : call.done(::syscall(SYS_write, descriptor, buffer, call.allowed()));
}

ssize_t pwrite_counted(int descriptor, const void* buffer, std::size_t bytes, off_t offset) {
  Call call("write", bytes, path_of(descriptor));
  return call.fails() ? -1 : call.done(::syscall(SYS_pwrite64, descriptor, buffer, call.allowed(), offset));
}

int truncate_counted(int descriptor, off_t length) {
  Call call("truncate", 0, path_of(descriptor));
  return call.fails() ? -1 : static_cast<int>(call.done(::syscall(SYS_ftruncate, descriptor, length)));
}

int truncate_path_counted(const char* path, off_t length) {
  Call call("truncate", 0, path_of(AT_FDCWD, path));
  return call.fails() ? -1 : static_cast<int>(call.done(::syscall(SYS_truncate, path, length)));
}

int sync_counted(long number, int descriptor) {
  Call call("fsync", 0, path_of(descriptor));
  return call.fails() ? -1 : static_cast<int>(call.done(::syscall(number, descriptor)));
}

int rename_counted(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  Call call("rename", 0, path_of(from_folder, from), path_of(to_folder, to));
  if (call.fails()) return -1;
  return static_cast<int>(call.done(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags)));
}

int unlink_counted(int folder, const char* path, int flags) {
  Call call("unlink", 0, path_of(folder, path));
  return call.fails() ? -1 : static_cast<int>(call.done(::syscall(SYS_unlinkat, folder, path, flags)));
}

int mkdir_counted(int folder, const char* path, mode_t mode) {
  Call call("mkdir", 0, path_of(folder, path));
  return call.fails() ? -1 : static_cast<int>(call.done(::syscall(SYS_mkdirat, folder, path, mode)));
}

}  // namespace

void fault_shim::read_environment() {
  plan() = read_plan();
}

// The C library's functions, by the names and types it declares them with.
extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_counted(AT_FDCWD, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_counted(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_counted(folder, path, flags, mode);
}

int openat64(int folder, const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_argument(flags, arguments);
  va_end(arguments);
  return open_counted(folder, path, flags, mode);
}

int creat(const char* path, mode_t mode) {
  return open_counted(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

ssize_t write(int descriptor, const void* buffer, std::size_t bytes) {
  return write_counted(descriptor, buffer, bytes);
}

ssize_t pwrite(int descriptor, const void* buffer, std::size_t bytes, off_t offset) {
  return pwrite_counted(descriptor, buffer, bytes, offset);
}

ssize_t pwrite64(int descriptor, const void* buffer, std::size_t bytes, off64_t offset) {
  return pwrite_counted(descriptor, buffer, bytes, offset);
}

// A short one writes the first of its parts alone.
ssize_t writev(int descriptor, const struct iovec* parts, int count) {
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  Call call("write", bytes, path_of(descriptor));
  if (call.fails()) return -1;
  return call.done(::syscall(SYS_writev, descriptor, parts, call.allowed() < bytes ? 1 : count));
}

int ftruncate(int descriptor, off_t length) noexcept {
  return truncate_counted(descriptor, length);
}

int ftruncate64(int descriptor, off64_t length) noexcept {
  return truncate_counted(descriptor, length);
}

int truncate(const char* path, off_t length) noexcept {
  return truncate_path_counted(path, length);
}

int truncate64(const char* path, off64_t length) noexcept {
  return truncate_path_counted(path, length);
}

int fsync(int descriptor) {
  return sync_counted(SYS_fsync, descriptor);
}

int fdatasync(int descriptor) {
  return sync_counted(SYS_fdatasync, descriptor);
}

int rename(const char* from, const char* to) noexcept {
  return rename_counted(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return rename_counted(from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return rename_counted(from_folder, from, to_folder, to, flags);
}

int unlink(const char* path) noexcept {
  return unlink_counted(AT_FDCWD, path, 0);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  return unlink_counted(folder, path, flags);
}

int rmdir(const char* path) noexcept {
  return unlink_counted(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char* path) noexcept {
  struct stat facts = {};
  const bool folder = ::lstat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
  return unlink_counted(AT_FDCWD, path, folder ? AT_REMOVEDIR : 0);
}

int mkdir(const char* path, mode_t mode) noexcept {
  return mkdir_counted(AT_FDCWD, path, mode);
}

int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  return mkdir_counted(folder, path, mode);
}

}  // extern "C"
