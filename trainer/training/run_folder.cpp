#include "trainer/training/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/config/load.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_resource(const char* action, const fs::path& path, int error_number) {
  throw Error(ErrorKind::kResource, concat("cannot ", action, " ", path.string(), ": ",
                                           std::generic_category().message(error_number),
                                           "; choose another `output` or check the folder"));
}

/// " by process 1234", as its holder wrote it; empty when it did not.
std::string holder_text(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(descriptor, text.data(), text.size() - 1, 0);
  std::string holder(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  if (!holder.empty() && holder.back() == '\n') holder.pop_back();
  const bool is_number = !holder.empty() && holder.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? " by process " + holder : "";
}

/// Only a log line depends on the old file. If it cannot be read, a warning says so and the run continues.
void log_config_changes(const fs::path& file, const Config& config) {
  std::error_code error;
  if (!fs::exists(file, error)) return;
  try {
    for (const KeyDifference& difference : config_differences(load_config(file), config))
      log_info(concat(file.string(), ": changed since the last command: ", difference.text()));
  } catch (const Error& fault) {
    log_warning(concat("replacing a config that cannot be read: ", fault.what()));
  }
}

/// The folders of a run in which files or folders are staged. Exports are left to the next export of that
/// name: `foresight export` may run beside another command, without the lock.
std::vector<fs::path> staging_folders(const RunFolder& folder) {
  std::vector<fs::path> folders = {folder.root, folder.oracle(), folder.features()};
  for (const Stage stage : kTrainingStages) {
    folders.insert(folders.end(), {folder.checkpoints(stage), folder.event_folder(stage)});
  }
  std::error_code absent;
  for (fs::directory_iterator entry(folder.stage(Stage::kTraces), absent);
       !absent && entry != fs::directory_iterator(); entry.increment(absent)) {
    if (entry->is_directory(absent)) folders.push_back(entry->path());
  }
  return folders;
}

/// Removes files that were staged in the run and not published: only names that the program itself gives, and
/// only where it gives them.
void remove_staging(const RunFolder& folder, const fs::path& traces_file) {
  std::vector<fs::path> staged;
  std::error_code error;
  for (const fs::path& place : staging_folders(folder)) {
    if (!fs::is_directory(place, error)) continue;
    fs::directory_iterator entry(place, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (is_staging_path(entry->path())) staged.push_back(entry->path());
    }
    if (error) fail_resource("list", place, error.value());
  }
  // It may lie outside of the run.
  const fs::path traces = staging_path(traces_file);
  if (fs::exists(traces, error) && std::find(staged.begin(), staged.end(), traces) == staged.end())
    staged.push_back(traces);
  for (const fs::path& path : staged) {
    fs::remove_all(path, error);
    if (error) fail_resource("remove", path, error.value());
    log_info("removed what an interrupted command had staged: " + path.string());
  }
}

/// True where `file` is a config as this program writes it.
bool is_written_config(const fs::path& file) {
  try {
    return read_file(file) == to_yaml(load_config(file));
  } catch (const Error&) {
    return false;
  }
}

/// Throws where `file`, the lock, holds what no RunLock writes: it is somebody else's then.
void require_own_lock(const fs::path& file) {
  constexpr std::uintmax_t kMostBytes = 32;
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(file, error);
  if (error) return;  // RunLock tells what it is
  const std::string content = bytes <= kMostBytes ? read_file(file) : "-";
  if (content.find_first_not_of("0123456789\n") == std::string::npos) return;
  throw Error(ErrorKind::kConfig,
              concat("output: ", file.string(), " is the lock of another program; choose another `output`"));
}

/// A folder without a lock has not been a run of ours yet. What it holds under the names that a run writes
/// over is somebody else's then, unless it is a run that was copied without its lock.
void require_own(const RunFolder& folder) {
  std::error_code error;
  if (fs::exists(folder.lock_file(), error)) return require_own_lock(folder.lock_file());
  if (is_written_config(folder.config_file())) return;
  for (const fs::path& path :
       {folder.config_file(), folder.evaluation_file(), folder.report_page(), folder.report_table()}) {
    if (!fs::exists(fs::symlink_status(path, error))) continue;
    throw Error(ErrorKind::kConfig, concat("output: ", path.string(),
                                           " existed before any run in this folder, which would overwrite "
                                           "it; choose another `output`, or move the file away"));
  }
}

}  // namespace

RunLock::RunLock(const RunFolder& folder) {
  const fs::path file = folder.lock_file();
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_resource("write", file, errno);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int cause = errno;
    const std::string holder = holder_text(descriptor);
    ::close(descriptor);
    if (cause == EWOULDBLOCK) {
      throw Error(ErrorKind::kResource, concat("the run folder ", folder.root.string(), " is in use", holder,
                                               "; wait for it to end or choose another `output`"));
    }
    // NFS without its lock service, Lustre without -o flock, FUSE: what they say differs.
    if (cause != ENOLCK && cause != EOPNOTSUPP && cause != ENOSYS && cause != EINVAL)
      fail_resource("lock", file, cause);
    log_warning(concat(folder.root.string(),
                       ": this file system has no locks; do not run two commands on it at once"));
    return;
  }
  descriptor_ = descriptor;
  // For the message of the one who comes second; the lock itself does not depend on it.
  const std::string holder = concat(::getpid(), "\n");
  [[maybe_unused]] const bool noted =
      ::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, holder.data(), holder.size(), 0) > 0;
}

RunLock::RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  if (this == &other) return *this;
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  return *this;
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OpenRun open_run_folder(const Config& config) {
  if (config.output.empty()) {
    throw Error(ErrorKind::kConfig, "output: expected the folder of this run, got an empty text");
  }
  const RunFolder folder{config.output};
  create_folders(folder.root);
  require_own(folder);
  RunLock lock(folder);
  remove_staging(folder, folder.traces_file(config.traces.file));
  for (const Stage stage : {Stage::kOracle, Stage::kSupervised, Stage::kGrpo})
    create_folders(folder.stage(stage));
  create_folders(folder.exports());
  log_config_changes(folder.config_file(), config);
  write_file_atomically(folder.config_file(), to_yaml(config));
  return {folder, std::move(lock)};
}

}  // namespace foresight
