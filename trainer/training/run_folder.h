// The folder of one run (`output` in the config): where everything lies, and who may write to it.
#pragma once

#include "trainer/config/config.h"
#include "trainer/config/run_layout.h"

namespace foresight {

/// Holds a run's folder for this process (flock on its .lock) until it is destroyed or the process ends,
/// however it ends. Move-only.
class RunLock {
 public:
  /// Throws Error(kResource) naming the folder when another process holds it, or when the lock file cannot be
  /// written. On a file system without locks it only warns.
  explicit RunLock(const RunFolder& folder);
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  ~RunLock();

 private:
  int descriptor_ = -1;
};

/// A run that this process may write to.
struct OpenRun {
  RunFolder folder;
  RunLock lock;
};

/// Creates the run's folders, locks it, removes what interrupted commands staged there and writes
/// config.yaml; where that stands already, the keys that differ are logged. Throws Error(kConfig) when
/// `config.output` is empty, and when the folder is not a run yet but holds a config.yaml, evaluation.json or
/// report that a run would write over; Error(kResource) when the folder is in use or cannot be written.
OpenRun open_run_folder(const Config& config);

}  // namespace foresight
