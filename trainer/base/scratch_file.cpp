#include "trainer/base/scratch_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "trainer/base/descriptor.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"

namespace foresight {

ScratchFile::ScratchFile(const std::filesystem::path& path, std::uint64_t bytes) : path_(path) {
  if (path.has_parent_path()) create_folders(path.parent_path());
  const std::uint64_t available = free_disk_bytes(path);
  if (available < bytes) {
    throw Error(ErrorKind::kResource,
                concat("cannot write ", path.string(), ": it takes ", format_bytes(bytes), ", but only ",
                       format_bytes(available), " are free; free disk space and run again"));
  }
  const std::filesystem::path staging = staging_path(path);
  file_ = std::make_unique<Descriptor>(::open(staging.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (file_->number() < 0) throw_resource("cannot write", path, errno);
  if (::unlink(staging.c_str()) != 0) throw_resource("cannot remove", staging, errno);
}

ScratchFile::~ScratchFile() = default;

void ScratchFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_at(*file_, path_, offset, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void ScratchFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(file_->number(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    // An end of file where data was written: the disk lost it.
    if (got <= 0) throw_resource("cannot read back", path_, got < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

}  // namespace foresight
