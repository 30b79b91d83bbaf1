// Helpers of the tests of files.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/base/error_of.h"

namespace foresight {

/// tests/reference/`name`, from the checkout that ctest names.
inline std::filesystem::path reference_folder(const std::string& name) {
  const char* source = std::getenv("FORESIGHT_SOURCE_DIR");
  return std::filesystem::path(source == nullptr ? "." : source) / "tests/reference" / name;
}

/// While it lives, no file can grow beyond `bytes`: a full disk for one process.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const struct rlimit limit = {bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  struct rlimit before_ = {};
};

}  // namespace foresight
