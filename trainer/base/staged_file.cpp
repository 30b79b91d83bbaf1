#include "trainer/base/staged_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

[[noreturn]] void throw_write_fault(const std::filesystem::path& path, int error_number) {
  throw Error(ErrorKind::kResource,
              concat("cannot write ", path.string(), ": ", std::generic_category().message(error_number),
                     "; free disk space or check the folder, and run again"));
}

}  // namespace

StagedFile::StagedFile(const std::filesystem::path& path, std::uint64_t bytes)
    : path_(path), staging_(staging_path(path)), bytes_(bytes) {
  if (path.has_parent_path()) create_folders(path.parent_path());
  descriptor_ = ::open(staging_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_write_fault(staging_, errno);
  if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0) return;
  const int fault = errno;
  ::close(std::exchange(descriptor_, -1));
  std::error_code ignored;
  std::filesystem::remove(staging_, ignored);
  throw_write_fault(staging_, fault);
}

StagedFile::~StagedFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  std::error_code ignored;
  std::filesystem::remove(staging_, ignored);
}

void StagedFile::write(std::uint64_t offset, std::string_view content) {
  if (descriptor_ < 0 || offset > bytes_ || content.size() > bytes_ - offset) {
    throw Error(ErrorKind::kInternal, concat("cannot write ", path_.string(), ": ", content.size(),
                                             " bytes at ", offset, " of ", bytes_));
  }
  while (!content.empty()) {
    const ssize_t written = ::pwrite(descriptor_, content.data(), content.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_fault(staging_, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void StagedFile::publish() {
  if (::fsync(descriptor_) != 0) throw_write_fault(staging_, errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) {  // network file systems report a full disk only here
    const int fault = errno;
    std::error_code ignored;
    std::filesystem::remove(staging_, ignored);
    throw_write_fault(staging_, fault);
  }
  foresight::publish(staging_, path_);
}

}  // namespace foresight
