// The project's one exception type.
#pragma once

#include <stdexcept>
#include <string>

namespace foresight {

/// What went wrong, as the process exit code tells it.
enum class ErrorKind : int {
  kInternal = 1,      ///< a fault of the program itself
  kConfig = 2,        ///< command line or YAML
  kInput = 3,         ///< a file that is missing, damaged or does not match another
  kResource = 4,      ///< disk, memory or device
  kNumeric = 5,       ///< NaN or Inf in a loss or gradient
  kPeer = 6,          ///< another process of the job is gone or silent
  kInterrupted = 75,  ///< stopped by SIGINT or SIGTERM after saving (EX_TEMPFAIL: run again to resume)
};

/// Thrown for every fault. The message is one line: what, where (file, key, tensor), expected and got, what
/// to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

}  // namespace foresight
