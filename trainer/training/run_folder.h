// The folder of one run (`output` in the config): where everything lies, and who may write to it.
#pragma once

#include <filesystem>
#include <string>

#include "trainer/config/config.h"

namespace foresight {

/// The paths of a run; none of them need exist.
struct RunFolder {
  std::filesystem::path root;

  std::filesystem::path config_file() const { return root / "config.yaml"; }  ///< the effective config
  std::filesystem::path oracle() const { return root / "oracle"; }            ///< one HDF5 file a trace
  std::filesystem::path stage(const std::string& name) const { return root / name; }
  std::filesystem::path supervised() const { return stage("supervised"); }
  std::filesystem::path grpo() const { return stage("grpo"); }
  std::filesystem::path exports() const { return root / "exports"; }  ///< scorers for other programs
  std::filesystem::path evaluation_file() const { return root / "evaluation.json"; }
  /// `traces.file` of the config: relative to the run, or an absolute path.
  std::filesystem::path traces_file(const std::string& configured) const { return root / configured; }
  std::filesystem::path lock_file() const { return root / ".lock"; }
  /// Of a training stage: supervised or grpo.
  std::filesystem::path checkpoints(const std::string& name) const { return stage(name) / "checkpoints"; }
  std::filesystem::path metrics_file(const std::string& name) const { return stage(name) / "metrics.jsonl"; }
};

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
/// `config.output` is empty, Error(kResource) when the folder is in use or cannot be written.
OpenRun open_run_folder(const Config& config);

}  // namespace foresight
