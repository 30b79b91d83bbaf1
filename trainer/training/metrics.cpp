#include "trainer/training/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

std::int64_t size_of(int descriptor, const std::filesystem::path& path) {
  const off_t size = ::lseek(descriptor, 0, SEEK_END);
  if (size < 0) throw_resource("cannot read the size of", path, errno);
  return size;
}

/// The file must hold a whole number of rows before `offset`.
void require_row_start(int descriptor, const std::filesystem::path& path, std::int64_t offset) {
  const std::int64_t size = size_of(descriptor, path);
  const auto fail = [&](const std::string& found) {
    throw Error(ErrorKind::kInput,
                concat(path.string(), ": the checkpoint expects a row to end at byte ", offset, ", ", found,
                       "; restore the file, or delete it to start a new one"));
  };
  if (offset < 0 || offset > size) fail(concat("the file holds ", size));
  char last = '\n';
  if (offset > 0 && ::pread(descriptor, &last, 1, offset - 1) != 1)
    throw_resource("cannot read", path, errno);
  if (last != '\n') fail("found the middle of a row");
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, std::optional<std::int64_t> resume_offset)
    : path_(path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  create_folders(folder);
  std::error_code error;
  if (resume_offset.value_or(0) != 0 && !std::filesystem::exists(path, error)) {
    log_warning(concat(path.string(), ": deleted since the checkpoint; the rows before it are missing"));
    resume_offset.reset();
  }
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_resource("cannot open", path, errno);
  try {
    offset_ = resume_offset.value_or(0);
    if (offset_ != 0) require_row_start(descriptor_, path, offset_);
    const bool longer = size_of(descriptor_, path) != offset_;
    if (longer && ::ftruncate(descriptor_, offset_) != 0) throw_resource("cannot cut back", path, errno);
    sync_path(folder);  // the file may be new: a checkpoint that names its rows must not outlive it
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

MetricsLog::~MetricsLog() {
  ::close(descriptor_);
}

void MetricsLog::append(const nlohmann::ordered_json& row) {
  std::string line;
  try {
    if (!row.is_object())
      throw Error(ErrorKind::kInternal, concat(path_.string(), ": a row must be an object"));
    line = row.dump() + "\n";
  } catch (const nlohmann::json::exception& fault) {
    throw Error(ErrorKind::kInternal, concat(path_.string(), ": a row is not valid JSON: ", fault.what()));
  }
  const int cause = write_all(descriptor_, line);
  if (cause != 0) {
    // Part of the line may be there: without the cut the next row would be glued to it.
    [[maybe_unused]] const int cut = ::ftruncate(descriptor_, offset_);
    throw_resource("cannot write", path_, cause);
  }
  offset_ += static_cast<std::int64_t>(line.size());
}

std::int64_t MetricsLog::offset() const {
  if (::fdatasync(descriptor_) != 0) throw_resource("cannot sync", path_, errno);
  return offset_;
}

std::int64_t end_of_rows(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return 0;
  const std::string rows = read_file(path);
  const std::size_t last = rows.rfind('\n');
  return last == std::string::npos ? 0 : static_cast<std::int64_t>(last) + 1;
}

}  // namespace foresight
