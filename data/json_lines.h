// Lines of JSONL files, and the columns of a line. Free of torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace foresight {

/// Calls `use(line, line_number)` for every line that is not blank; one line is in memory at a time. Throws
/// Error(kInput) for a file that cannot be read, a folder, a compressed file or one of another kind (the
/// message says what to do), and a line of more than 64 MiB.
void for_each_line(const std::filesystem::path& file,
                   const std::function<void(const std::string&, std::int64_t)>& use);

/// One row: a JSON object, with typed access to its columns. Columns are also found in another case
/// ("Problem"). A null value counts as absent; NaN and Infinity, which Python writes, are null.
class RowReader {
 public:
  /// `where`: "rows.jsonl:17". Throws Error(kInput): not UTF-8, not JSON, no object.
  RowReader(const std::string& line, std::string where);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool has_list(std::string_view key) const;
  /// The value of a column that has() sees.
  const nlohmann::ordered_json& at(std::string_view key) const { return *find(key); }
  /// The string under `key`. Throws Error(kInput) when it is absent or something else.
  std::string text(std::string_view key) const;
  /// The same; a number is returned as its text.
  std::string text_or_number(std::string_view key) const;
  /// `value` as a string; messages call it `name`.
  std::string string_of(const nlohmann::ordered_json& value, const std::string& name) const;
  /// The whole row; the reader is empty afterwards.
  nlohmann::ordered_json take() { return std::move(row_); }
  /// Throws Error(kInput) naming file and line.
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const nlohmann::ordered_json* find(std::string_view key) const;

  std::string where_;
  nlohmann::ordered_json row_;
};

}  // namespace foresight
