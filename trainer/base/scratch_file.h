// A file without a name, for data that a computation needs again later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace foresight {

class Descriptor;

/// It is unlinked as soon as it is open, so that nothing is left behind however the process ends; a process
/// that dies in between leaves a staging file (staging_path()). It is never synced, because no other process
/// reads it.
class ScratchFile {
 public:
  /// Makes a file of up to `bytes` in the folder of `path`, which names the file in messages; missing folders
  /// are created. Throws Error(kResource) when the disk has less room, or when the file cannot be made.
  ScratchFile(const std::filesystem::path& path, std::uint64_t bytes);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// Throws Error(kResource) naming path and cause (no space left...).
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Fills `bytes` with what was written there. Throws Error(kResource) when it cannot be read back.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<Descriptor> file_;
};

}  // namespace foresight
