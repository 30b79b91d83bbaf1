#include "trainer/base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

#include "trainer/base/descriptor.h"
#include "trainer/base/error.h"
#include "trainer/base/folder_path.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStagingEnding = ".foresight.partial";
constexpr std::size_t kGatheredBytes = std::size_t{1} << 20;

fs::path parent_folder(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

std::string cause_text(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "no space left on the device; free some disk space and run again";
    case EDQUOT:
      return "no space left within the disk quota; free some disk space and run again";
    case EFBIG:
      return "the file would be larger than this process may write (ulimit -f) or than the file system "
             "allows; raise the limit and run again";
    default:
      return std::generic_category().message(error_number) + "; check the folder and its disk, and run again";
  }
}

void write_with_beats(const Descriptor& file, const fs::path& path, std::string_view content) {
  while (!content.empty()) {
    heartbeat();
    const ssize_t written =
        ::write(file.number(), content.data(), std::min(content.size(), kMostBytesBetweenBeats));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_resource("cannot write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

void write_parts(const Descriptor& file, const fs::path& path, std::span<const std::string_view> parts) {
  std::string gathered;  // small parts, such as the many tensors of a scorer, go out in few calls
  for (const std::string_view part : parts) {
    if (gathered.size() + part.size() > kGatheredBytes) {
      write_with_beats(file, path, gathered);
      gathered.clear();
    }
    if (part.size() > kGatheredBytes) {
      write_with_beats(file, path, part);
    } else {
      gathered += part;
    }
  }
  write_with_beats(file, path, gathered);
}

void write_and_sync(const fs::path& path, std::span<const std::string_view> parts) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.number() < 0) throw_resource("cannot write", path, errno);
  write_parts(file, path, parts);
  if (::fsync(file.number()) != 0 || !file.close()) throw_resource("cannot write", path, errno);
}

/// Writes to a device or a pipe, where there is nothing to rename and no half-written file to see.
void write_into(const fs::path& path, std::span<const std::string_view> parts) {
  // With O_NONBLOCK a pipe without a reader fails (ENXIO) instead of blocking.
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0 && errno == ENXIO) {
    throw Error(ErrorKind::kResource, concat("cannot write ", path.string(),
                                             ": a pipe or device that nobody reads from; start the "
                                             "reader first, or name a file"));
  }
  if (file.number() < 0) throw_resource("cannot write", path, errno);
  if (::fcntl(file.number(), F_SETFL, O_WRONLY) != 0) throw_resource("cannot write", path, errno);
  write_parts(file, path, parts);
  if (!file.close()) throw_resource("cannot write", path, errno);
}

/// The path that the symbolic links at `path`, if any, lead to; it need not exist.
fs::path behind_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as the system follows
  fs::path target = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, error)); ++links) {
    if (links == kMostLinks) throw_resource("cannot write", path, ELOOP);
    if (target.string().starts_with("/proc/")) {
      throw Error(ErrorKind::kResource,
                  concat("cannot write ", path.string(),
                         ": an open file of a process, which cannot be replaced; name the file itself"));
    }
    const fs::path next = fs::read_symlink(target, error);
    if (error) throw_resource("cannot write", path, error.value());
    target = next.is_absolute() ? next : parent_folder(target) / next;
  }
  return target;
}

/// Throws if `path` is neither file nor folder, because a rename would destroy it for good.
void refuse_special(const fs::path& path, const fs::file_status& present) {
  if (!fs::exists(present) || fs::is_regular_file(present) || fs::is_directory(present)) return;
  if (fs::is_symlink(present)) return;
  throw Error(ErrorKind::kResource,
              concat("cannot write ", path.string(),
                     ": it is a device, pipe or socket; name a file, or a path that does not exist yet"));
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    throw_resource(concat("cannot rename ", from.string(), " to").c_str(), to, errno);
  }
  sync_path(parent_folder(to));
  if (parent_folder(from) != parent_folder(to)) sync_path(parent_folder(from));
}

}  // namespace

void throw_resource(const char* action, const std::filesystem::path& path, int error_number) {
  throw Error(ErrorKind::kResource, concat(action, " ", path.string(), ": ", cause_text(error_number)));
}

int write_all(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

std::string read_file(const fs::path& path) {
  const auto fail = [&path](int error_number) {
    throw Error(ErrorKind::kInput,
                concat("cannot read ", path.string(), ": ", std::generic_category().message(error_number)));
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) fail(errno);
  struct stat facts = {};
  if (::fstat(file.number(), &facts) != 0) fail(errno);
  // A device or a pipe has no known size; a file may have grown since its size was read.
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

void require_no_file_in_the_way(const fs::path& folder) {
  for (fs::path place = folder;; place = parent_folder(place)) {
    std::error_code error;
    // One look at the place itself, as another process may be about to create it.
    const fs::file_status present = fs::symlink_status(place, error);
    if (fs::is_directory(present) || (fs::is_symlink(present) && fs::is_directory(place, error))) return;
    if (fs::exists(present)) {
      throw Error(ErrorKind::kResource,
                  concat("cannot create folder ", folder.string(), ": ", place.string(),
                         fs::is_symlink(present) ? " is a link that leads to no folder" : " is a file",
                         "; choose another path, or move it away"));
    }
    if (parent_folder(place) == place || place == ".") return;
  }
}

void create_folders(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return;
  require_no_file_in_the_way(folder);
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
  std::error_code error;
  const fs::file_status present = fs::status(path, error);  // behind links: those of /proc lead to no path
  if (fs::is_character_file(present) || fs::is_fifo(present)) return write_into(path, parts);
  refuse_special(path, present);
  const fs::path target = behind_links(path);
  create_folders(parent_folder(target));
  const fs::path staging = staging_path(target);
  try {
    write_and_sync(staging, parts);
    rename_durably(staging, target);
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
  refuse_special(final_path, present);
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

bool is_there(const fs::path& path) {
  std::error_code none;
  return fs::exists(path, none);
}

bool is_staging_path(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.size() > kStagingEnding.size() && name.ends_with(kStagingEnding);
}

void refuse_lfs_pointer(std::string_view content, const fs::path& file) {
  if (!content.starts_with("version https://git-lfs")) return;
  throw Error(ErrorKind::kInput,
              concat(file.string(),
                     ": the pointer that Git LFS leaves in place of a file, not the file: run "
                     "`git lfs pull` in its repository, or download the file itself"));
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

}  // namespace foresight
