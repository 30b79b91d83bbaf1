// A file that is written piece by piece and appears whole or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

namespace foresight {

class Descriptor;

/// The file is named staging_path() until publish(), and removed if this is destroyed before that.
class StagedFile {
 public:
  /// Creates it with `bytes` zeros, which take no disk space until they are overwritten. Creates missing
  /// parent folders. Throws Error(kResource).
  StagedFile(const std::filesystem::path& path, std::uint64_t bytes);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  /// Writes `content` from byte `offset` on, within the file's size. Throws Error(kResource) naming path and
  /// cause (no space left...), Error(kInternal) beyond the end.
  void write(std::uint64_t offset, std::string_view content);
  /// Syncs, closes and renames it to its path. Throws Error(kResource).
  void publish();

 private:
  void discard();

  std::filesystem::path path_, staging_;
  std::uint64_t bytes_;
  std::unique_ptr<Descriptor> file_;  // null once it is published
};

}  // namespace foresight
