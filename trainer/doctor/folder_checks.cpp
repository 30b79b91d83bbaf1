#include <fcntl.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/doctor/checks.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using enum FindingLevel;

constexpr std::uint64_t kLittleRoom = std::uint64_t{4} << 30, kNoRoom = std::uint64_t{64} << 20;

/// The folder, or the nearest folder above it that exists.
fs::path nearest_folder(const fs::path& folder) {
  std::error_code error;
  fs::path place = fs::absolute(folder, error);
  while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
  return place;
}

/// File systems whose behaviour a user should know, by the numbers of statfs(2).
struct KnownSystem {
  long magic;
  const char* name;
  const char* meaning;  ///< of a warning; empty if it behaves like a local disk
};
constexpr std::array<KnownSystem, 7> kSystems = {
    {{0x6969, "NFS", "locks need its lock service, and other machines' files appear after seconds"},
     {0x0BD00BD0, "Lustre", "locks need the mount option flock"},
     {0x65735546, "FUSE", "whether locks and renames work depends on the program behind it"},
     {0x01021994, "tmpfs",
      "it is in memory: a run is lost when the machine stops, and uses memory that training needs"},
     {0x794c7630, "overlayfs", "it is a container's own layer: a run is lost when the container is removed"},
     {0xEF53, "ext4", ""},
     {0x58465342, "XFS", ""}}};

Finding file_system_of(const fs::path& place) {
  struct statfs facts = {};
  if (::statfs(place.c_str(), &facts) != 0)
    return {kWarning, "folder", "its file system cannot be determined"};
  for (const KnownSystem& system : kSystems) {
    if (static_cast<unsigned>(facts.f_type) != static_cast<unsigned>(system.magic)) continue;
    if (*system.meaning == '\0') return {kOk, "folder", concat("file system ", system.name)};
    return {kWarning, "folder", concat("file system ", system.name, ": ", system.meaning)};
  }
  return {kOk, "folder", "a file system that this check does not know"};
}

Finding room_of(const fs::path& place) {
  const std::uint64_t bytes = free_disk_bytes(place);
  const std::string text = concat(format_bytes(bytes), " free under ", one_line(place.string()));
  if (bytes < kNoRoom) return {kFault, "folder", text + ": too little for a run; choose another `output`"};
  if (bytes < kLittleRoom) {
    return {kWarning, "folder", text + ": oracle files take gigabytes; `foresight validate` says how many"};
  }
  return {kOk, "folder", text};
}

/// Locks a new file, and tries to lock it once more, which must fail.
Finding locks_of(const fs::path& file) {
  const int first = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const int second = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  const bool locked = ::flock(first, LOCK_EX | LOCK_NB) == 0;
  const int cause = errno;
  const bool excluded = locked && ::flock(second, LOCK_EX | LOCK_NB) != 0;
  for (const int descriptor : {first, second}) {
    if (descriptor >= 0) ::close(descriptor);
  }
  if (!locked) {
    return {kWarning, "folder",
            concat("it has no locks (", std::generic_category().message(cause),
                   "): do not give two commands the same `output` at once")};
  }
  if (!excluded)
    return {kWarning, "folder",
            "its locks have no effect: do not give two commands the same `output` at once"};
  return {kOk, "folder", "locks work"};
}

}  // namespace

Findings check_folder(const fs::path& folder) {
  const fs::path place = nearest_folder(folder);
  std::error_code error;
  if (!fs::is_directory(place, error)) {
    return {{kFault, "folder",
             concat(one_line(place.string()), " is a file: choose another folder for `output`")}};
  }
  // The name has the suffix of staged files, which the program removes after an interruption.
  const fs::path file = staging_path(place / concat("doctor-", ::getpid()));
  const fs::path renamed = staging_path(place / concat("doctor-", ::getpid(), "-renamed"));
  Findings findings;
  try {
    write_file_atomically(file, "foresight doctor");
    publish(file, renamed);
    findings = {room_of(place), file_system_of(place), locks_of(renamed)};
  } catch (const Error& fault) {
    findings = {{kFault, "folder",
                 concat(one_line(place.string()), " cannot be written to: ", fault.what(),
                        "; choose another folder for `output`")}};
  }
  fs::remove(file, error);
  fs::remove(renamed, error);
  return findings;
}

}  // namespace foresight
