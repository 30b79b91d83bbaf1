#include "trainer/base/await_file.h"

#include <chrono>
#include <system_error>
#include <thread>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"

namespace foresight {

namespace fs = std::filesystem;

void await_file(const fs::path& path, double most_seconds) {
  constexpr std::chrono::milliseconds kPause{50};
  const auto started = std::chrono::steady_clock::now();
  std::error_code error;
  while (!fs::exists(path, error)) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() >= most_seconds) {
      throw Error(ErrorKind::kInput,
                  concat(path.string(), ": another rank of the job wrote it ", most_seconds,
                         " s ago, but this host does not see it: `output` must be on a file system that "
                         "all ranks see"));
    }
    heartbeat();
    std::this_thread::sleep_for(kPause);
    const fs::directory_iterator asked_anew(path.parent_path().empty() ? fs::path(".") : path.parent_path(),
                                            error);  // NFS looks at the folder again
  }
}

}  // namespace foresight
