// The rows a training stage reports, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

namespace foresight {

/// An append-only JSONL file. A checkpoint stores offset(); a resumed run gives it back, and the rows that
/// were written after the checkpoint are cut off, so that every step stands there once.
class MetricsLog {
 public:
  /// Without an offset the file starts empty (rows of an earlier run are dropped). With one, the file is cut
  /// back to it; a file that was deleted is started again with a warning. Creates missing parent folders.
  /// Throws Error(kInput) when the file is shorter than the offset or the offset is not at the start of a
  /// row, Error(kResource) when it cannot be opened or cut.
  explicit MetricsLog(const std::filesystem::path& path, std::optional<std::int64_t> resume_offset = {});
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  /// Writes one row; it reaches the file before append returns. NaN and Inf become null (JSON has neither).
  /// On Error(kResource) (no space left...) no part of the row stays in the file. Throws Error(kInternal)
  /// when `row` is not an object or holds text that is not UTF-8.
  void append(const nlohmann::ordered_json& row);
  /// Bytes of the complete rows. They are synced to the disk first: a checkpoint that names them must not
  /// outlive them. Throws Error(kResource).
  std::int64_t offset() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t offset_ = 0;
};

/// Bytes of the complete rows of a metrics file, behind which another process may go on; 0 where there is no
/// file.
std::int64_t end_of_rows(const std::filesystem::path& path);

}  // namespace foresight
