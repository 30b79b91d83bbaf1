#include "trainer/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <utility>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStagingEnding = ".partial";
constexpr std::size_t kGatheredBytes = std::size_t{1} << 20;
constexpr std::size_t kMostBytesBetweenBeats = std::size_t{1} << 26;

// A file descriptor that is closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }
  /// Closes now and says whether that succeeded: network file systems report a full disk only here.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

std::string cause_text(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "no space left on the device; free some disk space and run again";
    case EDQUOT:
      return "no space left within the disk quota; free some disk space and run again";
    case EFBIG:
      return "the file would be larger than this process may write (ulimit -f) or the file system takes; "
             "raise "
             "the limit and run again";
    default:
      return std::generic_category().message(error_number) + "; check the folder and its disk, and run again";
  }
}

[[noreturn]] void throw_resource(const char* action, const fs::path& path, int error_number) {
  throw Error(ErrorKind::kResource, concat(action, " ", path.string(), ": ", cause_text(error_number)));
}

fs::path parent_folder(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void write_all(const Descriptor& file, const fs::path& path, std::string_view content) {
  while (!content.empty()) {
    heartbeat();
    const ssize_t written =
        ::write(file.number(), content.data(), std::min(content.size(), kMostBytesBetweenBeats));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_resource("cannot write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

void write_and_sync(const fs::path& path, std::span<const std::string_view> parts) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.number() < 0) throw_resource("cannot write", path, errno);
  std::string gathered;  // small parts, such as the many tensors of a scorer, go out in few calls
  for (const std::string_view part : parts) {
    if (gathered.size() + part.size() > kGatheredBytes) {
      write_all(file, path, gathered);
      gathered.clear();
    }
    if (part.size() > kGatheredBytes) {
      write_all(file, path, part);
    } else {
      gathered += part;
    }
  }
  write_all(file, path, gathered);
  if (::fsync(file.number()) != 0 || !file.close()) throw_resource("cannot write", path, errno);
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    throw_resource(concat("cannot rename ", from.string(), " to").c_str(), to, errno);
  }
  sync_path(parent_folder(to));
  if (parent_folder(from) != parent_folder(to)) sync_path(parent_folder(from));
}

bool is_name_letter(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

}  // namespace

std::string read_file(const fs::path& path) {
  const auto fail = [&path](int error_number) {
    throw Error(ErrorKind::kInput,
                concat("cannot read ", path.string(), ": ", std::generic_category().message(error_number)));
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) fail(errno);
  struct stat facts = {};
  if (::fstat(file.number(), &facts) != 0) fail(errno);
  // A device or a pipe tells no size; a file may have grown since it was asked.
  const auto expected = static_cast<std::size_t>(std::max<off_t>(facts.st_size, 0));
  std::string content;
  content.reserve(expected);
  std::vector<char> buffer(std::clamp<std::size_t>(expected, std::size_t{1} << 12, std::size_t{1} << 18));
  while (true) {
    heartbeat();
    const ssize_t got = ::read(file.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(errno);
    if (got == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

void create_folders(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return;
  const fs::path parent = parent_folder(folder);
  if (parent != folder && parent != ".") create_folders(parent);
  fs::create_directory(folder, error);
  if (error) throw_resource("cannot create folder", folder, error.value());
  sync_path(parent);
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  write_file_atomically(path, std::span(&content, 1));
}

void write_file_atomically(const fs::path& path, std::span<const std::string_view> parts) {
  create_folders(parent_folder(path));
  const fs::path staging = staging_path(path);
  try {
    write_and_sync(staging, parts);
    rename_durably(staging, path);
  } catch (...) {
    std::error_code ignored;  // the first fault is the one to report
    fs::remove(staging, ignored);
    throw;
  }
}

void sync_path(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) throw_resource("cannot sync", path, errno);
  if (::fsync(file.number()) == 0) return;
  const int cause = errno;
  // Some file systems cannot sync a folder and say EINVAL: there is nothing more to do for them.
  std::error_code ignored;
  if (cause == EINVAL && fs::is_directory(path, ignored)) return;
  throw_resource("cannot sync", path, cause);
}

void publish(const fs::path& staging, const fs::path& final_path) {
  std::error_code error;
  const fs::file_status staged = fs::symlink_status(staging, error);
  if (!fs::exists(staged)) throw_resource("cannot publish", staging, ENOENT);
  const fs::file_status present = fs::symlink_status(final_path, error);
  if (fs::is_directory(present) || (fs::exists(present) && fs::is_directory(staged))) {
    throw Error(ErrorKind::kResource, concat("cannot publish ", final_path.string(),
                                             ": it already exists; move it away and run again"));
  }
  if (fs::is_directory(staged)) {
    fs::recursive_directory_iterator entry(staging, error);
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      // A link has no content of its own, and its entry is synced with its folder.
      if (!entry->is_symlink()) sync_path(entry->path());
    }
    if (error) throw_resource("cannot sync", staging, error.value());
  }
  sync_path(staging);
  create_folders(parent_folder(final_path));
  rename_durably(staging, final_path);
}

fs::path staging_path(const fs::path& final_path) {
  fs::path staging = final_path;
  if (!staging.has_filename()) staging = staging.parent_path();  // "folder/" names the folder
  staging += kStagingEnding;
  return staging;
}

bool is_staging_path(const fs::path& path) {
  return path.extension() == kStagingEnding;
}

std::uint64_t free_disk_bytes(const fs::path& path) {
  std::error_code error;
  fs::path existing = fs::absolute(path, error);
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  struct statvfs facts = {};
  if (::statvfs(existing.c_str(), &facts) != 0)
    throw_resource("cannot ask for the free space of", path, errno);
  return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
}

std::string expand_environment(const std::string& text) {
  std::string expanded;
  std::size_t position = 0;
  while (true) {
    const std::size_t start = text.find("${", position);
    expanded += text.substr(position, start - position);
    if (start == std::string::npos) return expanded;
    std::size_t end = start + 2;
    while (end < text.size() && is_name_letter(text[end])) ++end;
    const std::string name = text.substr(start + 2, end - start - 2);
    if (end >= text.size() || text[end] != '}' || name.empty()) {
      throw Error(ErrorKind::kConfig,
                  concat("\"", one_line(text), "\": expected ${NAME} with a name of letters, digits and _"));
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      throw Error(ErrorKind::kConfig, concat("\"", one_line(text), "\": the environment variable ",
                                             one_line(name), " is not set; set it and run again"));
    }
    expanded += value;
    position = end + 1;
  }
}

}  // namespace foresight
