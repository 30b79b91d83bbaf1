#include "trainer/training/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kHeadBytes = 12;  // of a record: length and its checksum
constexpr std::size_t kTailBytes = 4;   // the payload's checksum
constexpr std::size_t kTimeBytes = 9;   // of an Event: wall_time with its key, always the first field
constexpr int kMaxDepth = 8;            // of the objects and arrays in a row
constexpr std::string_view kNameStart = "events.out.tfevents.", kNameEnd = ".foresight";

// Keys of protobuf fields: number << 3 | wire type (0: varint, 1: 8 bytes, 2: length and bytes, 5: 4 bytes).
// tensorboard/compat/proto: event.proto, summary.proto.
constexpr char kEventWallTime = 1 << 3 | 1, kEventStep = 2 << 3 | 0, kEventFileVersion = 3 << 3 | 2,
               kEventSummary = 5 << 3 | 2, kEventSessionLog = 7 << 3 | 2;
constexpr char kSummaryValue = 1 << 3 | 2, kValueTag = 1 << 3 | 2, kValueSimple = 2 << 3 | 5;
constexpr char kSessionLogStatus = 1 << 3 | 0, kStart = 1;

template <class Number>
std::string little_endian(Number number) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof number; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xFFU);
  return bytes;
}

template <class Number>
Number from_little_endian(std::string_view bytes) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i)
    number |= static_cast<Number>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return number;
}

/// As TFRecords hold a CRC: a CRC of bytes that contain CRCs would be weak.
std::string masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return little_endian(std::rotr(crc, 15) + 0xA282EAD8U);
}

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80U; number >>= 7U) bytes += static_cast<char>(number | 0x80U);
  return bytes + static_cast<char>(number);
}

std::string length_delimited(char key, std::string_view bytes) {
  return key + varint(bytes.size()) + std::string(bytes);
}

/// Summary.Value messages of every number in `value`, whose path is `tag`.
void add_scalars(std::string& summary, const std::string& tag, const Json& value, int depth) {
  if (value.is_structured() && depth < kMaxDepth) {
    for (const auto& [name, member] : value.items())
      add_scalars(summary, concat(tag, "/", name), member, depth + 1);
  }
  if (!value.is_number()) return;
  const auto number = value.get<double>();
  if (!(std::fabs(number) <= std::numeric_limits<float>::max())) return;
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(number));
  summary +=
      length_delimited(kSummaryValue, length_delimited(kValueTag, tag) + kValueSimple + little_endian(bits));
}

/// An Event without its wall_time, by which the same row is found again.
std::string row_body(const Json& row) {
  const auto step = row.find("step");
  if (step == row.end() || !step->is_number_integer()) {
    throw Error(ErrorKind::kInternal, "a row of metrics has no whole number as \"step\"");
  }
  std::string summary, body;
  for (const auto& [name, value] : row.items()) {
    if (name != "step") add_scalars(summary, name, value, 0);
  }
  const auto number = step->get<std::int64_t>();
  if (number != 0) body = kEventStep + varint(static_cast<std::uint64_t>(number));
  return summary.empty() ? body : body + length_delimited(kEventSummary, summary);
}

std::string event(double wall_time, const std::string& body) {
  return kEventWallTime + little_endian(std::bit_cast<std::uint64_t>(wall_time)) + body;
}

/// What a file begins with. The session's start makes a TensorBoard that read an older file forget it.
std::vector<std::string> opening_bodies() {
  const std::string start = {kSessionLogStatus, kStart};
  return {length_delimited(kEventFileVersion, "brain.Event:2"), length_delimited(kEventSessionLog, start)};
}

/// A record to be, and the seconds that passed before it since the one before.
struct Entry {
  std::string body;
  double seconds = 0;
};

/// One entry for each opening record and each row of `jsonl`.
std::vector<Entry> entries_of(const std::string& jsonl, const fs::path& file) {
  std::vector<Entry> entries;
  for (std::string& body : opening_bodies()) entries.push_back({std::move(body)});
  std::string_view rest = jsonl;
  for (std::int64_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const Json row = Json::parse(rest.substr(0, end), nullptr, /*allow_exceptions=*/false);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) {
      log_warning(
          concat(file.string(), ": line ", line, " is not a row with a step; TensorBoard will not show it"));
      continue;
    }
    const auto seconds = row.find("step_time");
    const bool timed = seconds != row.end() && seconds->is_number();
    entries.push_back({row_body(row), timed ? seconds->get<double>() : 0.0});
  }
  return entries;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// When `file` was last written to; now where there is none.
double date_of(const fs::path& file) {
  struct stat facts = {};
  if (::stat(file.c_str(), &facts) != 0) return seconds_since_1970();
  return static_cast<double>(facts.st_mtim.tv_sec) + 1e-9 * static_cast<double>(facts.st_mtim.tv_nsec);
}

/// The whole file for `entries`. Entries that are in `old_file` at the same place keep their time. The last
/// other entry gets `end_time`, and each one before it is earlier by the seconds of its successor.
std::string whole_file(const std::vector<Entry>& entries, const std::string& old_file, double end_time) {
  const std::vector<std::string_view> old = tfrecord_payloads(old_file);
  std::vector<double> times(entries.size());
  double time = end_time;
  for (std::size_t i = entries.size(); i-- > 0;) {
    const bool stands = i < old.size() && old[i].size() >= kTimeBytes && old[i][0] == kEventWallTime &&
                        old[i].substr(kTimeBytes) == entries[i].body;
    if (stands) time = std::bit_cast<double>(from_little_endian<std::uint64_t>(old[i].substr(1)));
    times[i] = time;
    time -= entries[i].seconds;
  }
  std::string file;
  for (std::size_t i = 0; i < entries.size(); ++i) file += tfrecord(event(times[i], entries[i].body));
  return file;
}

/// The number in the name of one of our event files.
std::optional<std::int64_t> number_in(const std::string& name) {
  if (!name.starts_with(kNameStart) || !name.ends_with(kNameEnd)) return std::nullopt;
  const std::string digits = name.substr(
      kNameStart.size(), name.size() - std::min(name.size(), kNameStart.size() + kNameEnd.size()));
  const bool number = digits.find_first_not_of("0123456789") == std::string::npos;
  return number && !digits.empty() && digits.size() <= 18 ? std::optional(std::stoll(digits)) : std::nullopt;
}

/// Digits enough that names sort by number: TensorBoard reads files in the order of their names.
std::string name_of(std::int64_t number) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%06lld", static_cast<long long>(number));
  return concat(kNameStart, digits.data(), kNameEnd);
}

/// Our event files in `folder`, by number.
std::vector<std::pair<std::int64_t, fs::path>> event_files_in(const fs::path& folder) {
  std::vector<std::pair<std::int64_t, fs::path>> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (const auto number = number_in(entry->path().filename().string()))
      files.emplace_back(*number, entry->path());
  }
  if (error) throw_resource("cannot list", folder, error.value());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      std::uint32_t remainder = i;
      for (int bit = 0; bit < 8; ++bit)
        remainder = remainder >> 1U ^ ((remainder & 1U) != 0 ? 0x82F63B78U : 0U);
      table[i] = remainder;
    }
    return table;
  }();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) crc = crc >> 8U ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFFU];
  return ~crc;
}

std::string tfrecord(std::string_view payload) {
  const std::string length = little_endian(static_cast<std::uint64_t>(payload.size()));
  return length + masked_crc(length) + std::string(payload) + masked_crc(payload);
}

std::vector<std::string_view> tfrecord_payloads(std::string_view file) {
  std::vector<std::string_view> payloads;
  while (file.size() >= kHeadBytes + kTailBytes) {
    const std::string_view length_bytes = file.substr(0, sizeof(std::uint64_t));
    const auto length = from_little_endian<std::uint64_t>(length_bytes);
    if (masked_crc(length_bytes) != file.substr(length_bytes.size(), kTailBytes)) break;
    if (length > file.size() - kHeadBytes - kTailBytes) break;
    const std::string_view payload = file.substr(kHeadBytes, length);
    if (masked_crc(payload) != file.substr(kHeadBytes + length, kTailBytes)) break;
    payloads.push_back(payload);
    file.remove_prefix(kHeadBytes + length + kTailBytes);
  }
  return payloads;
}

std::string row_event(double wall_time, const Json& row) {
  return event(wall_time, row_body(row));
}

EventFile::EventFile(const fs::path& folder, const fs::path& metrics_file) {
  create_folders(folder);
  std::error_code error;
  const double end_time = date_of(metrics_file);
  const std::string rows = fs::exists(metrics_file, error) ? read_file(metrics_file) : "";
  auto older = event_files_in(folder);
  const std::string old = older.empty() ? "" : read_file(older.back().second);
  const std::string content = whole_file(entries_of(rows, metrics_file), old, end_time);
  if (old == content) {
    path_ = older.back().second;
    older.pop_back();
  } else {
    path_ = folder / name_of(older.empty() ? 1 : older.back().first + 1);
    write_file_atomically(path_, content);
  }
  // A TensorBoard that reads a file goes on to the next one at its end, but not when the file is gone: the
  // one before is left there, empty.
  for (std::size_t i = 0; i < older.size(); ++i) {
    const fs::path& file = older[i].second;
    if (i + 1 < older.size()) fs::remove(file, error);
    if (i + 1 == older.size()) fs::resize_file(file, 0, error);
    if (error) throw_resource("cannot clear", file, error.value());
    if (i + 1 == older.size()) sync_path(file);
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) throw_resource("cannot open", path_, errno);
}

EventFile::~EventFile() {
  ::close(descriptor_);
}

void EventFile::append(const Json& row) {
  const int fault = write_all(descriptor_, tfrecord(row_event(seconds_since_1970(), row)));
  if (fault != 0) throw_resource("cannot write", path_, fault);
}

void EventFile::sync() const {
  if (::fdatasync(descriptor_) != 0) throw_resource("cannot sync", path_, errno);
}

}  // namespace foresight
