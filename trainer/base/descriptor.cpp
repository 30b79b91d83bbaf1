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
      return "the file would be larger than this process may write (ulimit -f) or the file system takes; "
             "raise the limit and run again";
    default:
      return std::generic_category().message(error_number) + "; check the folder and its disk, and run again";
  }
}

}  // namespace

void throw_resource(const char* action, const std::filesystem::path& path, int error_number) {
  throw Error(ErrorKind::kResource, concat(action, " ", path.string(), ": ", cause_text(error_number)));
}

}  // namespace foresight
