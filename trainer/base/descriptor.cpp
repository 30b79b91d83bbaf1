#include "trainer/base/descriptor.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

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

}  // namespace

void write_at(const Descriptor& file, const std::filesystem::path& path, std::uint64_t offset,
              std::string_view content) {
  while (!content.empty()) {
    const ssize_t written =
        ::pwrite(file.number(), content.data(), content.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_resource("cannot write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void throw_resource(const char* action, const std::filesystem::path& path, int error_number) {
  throw Error(ErrorKind::kResource, concat(action, " ", path.string(), ": ", cause_text(error_number)));
}

}  // namespace foresight
