#include "data/json_lines.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <fstream>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;
constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr int kMaxJsonDepth = 32;

/// What kind of file begins like this, and what to do; empty if it may be text.
std::string other_kind(std::string_view start) {
  constexpr const char* kUnpack = "; unpack it first";
  constexpr const char* kConvert =
      "; write its rows as JSONL: foresight-rows FILE --out rows.jsonl (scripts/python)";
  if (start.starts_with("\x1f\x8b")) return concat("is compressed by gzip", kUnpack, ": gunzip -k FILE");
  if (start.starts_with("\x28\xb5\x2f\xfd")) return concat("is compressed by zstd", kUnpack, ": unzstd FILE");
  if (start.starts_with("BZh")) return concat("is compressed by bzip2", kUnpack, ": bunzip2 -k FILE");
  if (start.starts_with("\xfd"
                        "7zXZ"))
    return concat("is compressed by xz", kUnpack, ": unxz -k FILE");
  if (start.starts_with("PK\x03\x04")) return concat("is a zip archive", kUnpack);
  if (start.starts_with("PAR1")) return concat("is a Parquet file", kConvert);
  if (start.starts_with("ARROW1") || start.starts_with("\xff\xff\xff\xff"))
    return concat("is an Arrow file", kConvert);
  if (start.starts_with("version https://git-lfs"))
    return "is a pointer of Git LFS, not the file itself; fetch it: git lfs pull";
  return "";
}

/// The end of a message about a line that is not a row, which says what the file may be.
std::string hint_of(const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  if (line[first] == '[')
    return "; a JSON list is not JSONL: write one row on each line, jq -c '.[]' FILE > rows.jsonl";
  if (line[first] == '{' && line.find_first_not_of(" \t\r\n", first + 1) == std::string::npos)
    return "; expected one row on each line: jq -c . FILE > rows.jsonl";
  return "";
}

/// Reads NaN, Infinity and -Infinity, which Python writes although JSON does not have them, as null.
std::string without_nan(const std::string& line) {
  if (line.find("NaN") == std::string::npos && line.find("Infinity") == std::string::npos) return line;
  std::string clean;
  clean.reserve(line.size());
  bool quoted = false;
  for (std::size_t i = 0; i < line.size();) {
    if (!quoted) {
      const std::string_view rest = std::string_view(line).substr(i);
      std::size_t length = 0;
      for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
        if (rest.starts_with(word)) length = word.size();
      }
      if (length > 0) {
        clean += "null";
        i += length;
        continue;
      }
    }
    if (line[i] == '"') quoted = !quoted;
    if (quoted && line[i] == '\\' && i + 1 < line.size()) clean += line[i++];
    clean += line[i++];
  }
  return clean;
}

bool same_but_case(std::string_view one, std::string_view two) {
  return std::equal(one.begin(), one.end(), two.begin(), two.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

}  // namespace

void for_each_line(const std::filesystem::path& file,
                   const std::function<void(const std::string&, std::int64_t)>& use) {
  std::error_code none;
  if (std::filesystem::is_directory(file, none)) {
    throw Error(
        ErrorKind::kInput,
        concat(file.string(), ": is a folder and cannot be read as rows; name the JSONL files in it"));
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(ErrorKind::kInput, concat(file.string(), ": cannot be opened; check the path"));
  std::string line, block(kReadBytes, '\0');
  std::int64_t line_number = 1;
  bool first_block = true;
  const auto end_line = [&] {
    if (line.find_first_not_of(" \t\r\n") != std::string::npos) use(line, line_number);
    line.clear();
    ++line_number;
  };
  while (in) {
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    std::string_view rest(block.data(), static_cast<std::size_t>(in.gcount()));
    if (std::exchange(first_block, false)) {
      const std::string kind = other_kind(rest);
      if (!kind.empty()) throw Error(ErrorKind::kInput, concat(file.string(), ": ", kind));
      if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);  // a byte order mark
    }
    while (!rest.empty()) {
      const std::size_t newline = rest.find('\n');
      line.append(rest.substr(0, newline));
      if (line.size() > kMaxLineBytes) {
        throw Error(ErrorKind::kInput, concat(file.string(), ":", line_number, ": the line is longer than ",
                                              kMaxLineBytes >> 20, " MiB; expected one row on each line"));
      }
      if (newline == std::string_view::npos) break;
      rest.remove_prefix(newline + 1);
      end_line();
    }
  }
  if (in.bad())
    throw Error(ErrorKind::kInput, concat(file.string(), ": cannot be read; check that it is a file"));
  end_line();
}

RowReader::RowReader(const std::string& line, std::string where) : where_(std::move(where)) {
  const std::size_t invalid = first_invalid_utf8(line);
  if (invalid != std::string_view::npos) {
    fail(concat("not UTF-8 at byte ", invalid, " of the line; save the file as UTF-8"));
  }
  try {
    row_ = parse_ordered_json_strictly(without_nan(line), where_, kMaxJsonDepth);
  } catch (const Error& error) {
    throw Error(error.kind(), concat(error.what(), hint_of(line)));
  }
  if (!row_.is_object()) fail(concat("expected a JSON object, got ", row_.type_name(), hint_of(line)));
}

const Json* RowReader::find(std::string_view key) const {
  auto found = row_.find(key);
  if (found == row_.end()) {
    for (auto item = row_.begin(); item != row_.end() && found == row_.end(); ++item) {
      if (same_but_case(item.key(), key)) found = item;
    }
  }
  return found == row_.end() || found->is_null() ? nullptr : &*found;
}

bool RowReader::has_list(std::string_view key) const {
  const Json* value = find(key);
  return value != nullptr && value->is_array();
}

std::string RowReader::text(std::string_view key) const {
  if (!has(key)) fail(concat("has no \"", key, "\""));
  return string_of(at(key), concat("\"", key, "\""));
}

std::string RowReader::text_or_number(std::string_view key) const {
  if (!has(key) || !at(key).is_number()) return text(key);
  constexpr double kExactBelow = 9007199254740992.0;  // 2^53: larger integers have been rounded by now
  if (at(key).is_number_float() && std::abs(at(key).get<double>()) >= kExactBelow) {
    fail(concat("\"", key, "\": the number ", at(key).dump(),
                " is too large to be read exactly; write it as a string"));
  }
  return at(key).dump();
}

std::string RowReader::string_of(const Json& value, const std::string& name) const {
  if (!value.is_string()) fail(concat(name, ": expected a string, got ", value.type_name()));
  return value.get<std::string>();
}

void RowReader::fail(const std::string& message) const {
  throw Error(ErrorKind::kInput, concat(where_, ": ", message));
}

}  // namespace foresight
