#include "trainer/base/staged_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "trainer/base/descriptor.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {

StagedFile::StagedFile(const std::filesystem::path& path, std::uint64_t bytes)
    : path_(path), staging_(staging_path(path)), bytes_(bytes) {
  if (path.has_parent_path()) create_folders(path.parent_path());
  file_ =
      std::make_unique<Descriptor>(::open(staging_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file_->number() < 0) throw_resource("cannot write", staging_, errno);
  if (::ftruncate(file_->number(), static_cast<off_t>(bytes)) == 0) return;
  const int fault = errno;
  discard();
  throw_resource("cannot write", staging_, fault);
}

StagedFile::~StagedFile() {
  if (file_ != nullptr) discard();
}

void StagedFile::discard() {
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(staging_, ignored);
}

void StagedFile::write(std::uint64_t offset, std::string_view content) {
  if (file_ == nullptr || offset > bytes_ || content.size() > bytes_ - offset) {
    throw Error(ErrorKind::kInternal, concat("cannot write ", path_.string(), ": ", content.size(),
                                             " bytes at ", offset, " of ", bytes_));
  }
  write_at(*file_, staging_, offset, content);
}

void StagedFile::publish() {
  if (::fsync(file_->number()) != 0 || !file_->close()) {
    const int fault = errno;
    discard();
    throw_resource("cannot write", staging_, fault);
  }
  file_.reset();
  foresight::publish(staging_, path_);
}

}  // namespace foresight
