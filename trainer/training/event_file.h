// The rows of metrics.jsonl as scalars for TensorBoard: TFRecord frames around Event messages (protobuf).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace foresight {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
std::uint32_t crc32c(std::string_view bytes);

/// `payload` as one TFRecord: its length, the length's masked CRC-32C, the payload, the payload's.
std::string tfrecord(std::string_view payload);

/// The payloads of the whole records that `file` starts with: up to the first that is torn or damaged. Views
/// of `file`.
std::vector<std::string_view> tfrecord_payloads(std::string_view file);

/// The Event of a row at `wall_time` (seconds since 1970): its "step", and a scalar for every other number.
/// Members of objects and arrays have paths as tags ("heads/0"); NaN, Inf, null, texts, flags and what lies
/// beyond float32 are left out. Throws Error(kInternal) when `row` has no whole number as "step".
std::string row_event(double wall_time, const nlohmann::ordered_json& row);

/// The event file of a training stage: what metrics.jsonl holds, record by record, and nothing else. It is
/// derived from these rows: opening it makes it complete again, whatever state it was in.
class EventFile {
 public:
  /// Opens the event file in `folder` for appending. It holds the rows that are in `metrics_file` now (none
  /// if that file does not exist). If the newest event file holds exactly these rows, it is used. Else a
  /// complete file under the next number replaces it, and the old one is emptied: a running TensorBoard
  /// continues with the new file and reads it from its start. Rows that the old file held keep their time;
  /// other rows get it from the date of `metrics_file` and their "step_time". Other lines are left out with a
  /// warning. Creates `folder`. Throws Error(kInput) when `metrics_file` cannot be read, Error(kResource)
  /// when the event file cannot be written.
  EventFile(const std::filesystem::path& folder, const std::filesystem::path& metrics_file);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Adds a row of metrics.jsonl at the present time; it reaches the file before append returns. Throws
  /// Error(kResource), and Error(kInternal) as row_event().
  void append(const nlohmann::ordered_json& row);
  /// Brings the rows to the disk. Throws Error(kResource).
  void sync() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace foresight
