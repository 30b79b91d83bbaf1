// Where everything lies in the folder of one run (`output` in the config).
#pragma once

#include <filesystem>
#include <string>

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
  /// TensorBoard's, where runtime.tensorboard asks for them.
  std::filesystem::path event_folder(const std::string& name) const { return stage(name) / "tensorboard"; }
};

}  // namespace foresight
