// The format: 8 bytes of header length (little-endian), a JSON header, the tensors' bytes without a gap.
// https://github.com/huggingface/safetensors (README, "Format")
#include "data/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they stand in the file");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr int kHeaderDepth = 3;                         // header, tensor, shape
constexpr const char* kMetadataKey = "__metadata__";

struct DtypeFacts {
  Dtype dtype;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<DtypeFacts, 10> kDtypes = {{{Dtype::kFloat64, "F64", 8},
                                                 {Dtype::kFloat32, "F32", 4},
                                                 {Dtype::kFloat16, "F16", 2},
                                                 {Dtype::kBfloat16, "BF16", 2},
                                                 {Dtype::kInt64, "I64", 8},
                                                 {Dtype::kInt32, "I32", 4},
                                                 {Dtype::kInt16, "I16", 2},
                                                 {Dtype::kInt8, "I8", 1},
                                                 {Dtype::kUint8, "U8", 1},
                                                 {Dtype::kBool, "BOOL", 1}}};

const DtypeFacts& facts_of(Dtype dtype) {
  for (const DtypeFacts& facts : kDtypes) {
    if (facts.dtype == dtype) return facts;
  }
  throw Error(ErrorKind::kInternal, concat("unknown Dtype value ", static_cast<int>(dtype)));
}

/// Bytes of a tensor; nothing when the product does not fit int64.
std::optional<std::uint64_t> tensor_bytes(const std::vector<std::int64_t>& shape, std::size_t element_bytes) {
  const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = element_bytes;
  for (const std::int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size != 0 && bytes > limit / static_cast<std::uint64_t>(size)) return std::nullopt;
    bytes *= static_cast<std::uint64_t>(size);
  }
  return bytes;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return "[" + join(shape, ", ") + "]";
}

/// A tensor of the header, before its bytes are looked at.
struct HeaderEntry {
  std::string name;
  TensorView view;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Turns one file's header into entries; every fault names file and tensor.
class HeaderReader {
 public:
  explicit HeaderReader(const fs::path& path) : path_(path) {}

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kInput, concat(path_.string(), ": ", message));
  }

  /// The header's text. `file` is the whole file.
  std::string_view text(std::span<const std::byte> file) const {
    if (file.size() < kLengthBytes) {
      fail(concat("not a safetensors file: it holds ", file.size(), " bytes, expected at least 8"));
    }
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), kLengthBytes);
    if (length > kMaxHeaderBytes) {
      fail(
          concat("not a safetensors file: header of ", length, " bytes, expected at most ", kMaxHeaderBytes));
    }
    if (length > file.size() - kLengthBytes) {
      fail(concat("truncated: header of ", length, " bytes, but only ", file.size() - kLengthBytes,
                  " bytes follow its length"));
    }
    const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                                  static_cast<std::size_t>(length));
    if (!header.starts_with('{')) fail("not a safetensors file: expected its header to start with {");
    return header;
  }

  HeaderEntry entry(const std::string& name, const nlohmann::json& value) const {
    const std::string tensor = concat("tensor \"", name, "\"");
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets")) {
      fail(concat(tensor, ": expected an object of dtype, shape and data_offsets"));
    }
    HeaderEntry entry;
    entry.name = name;
    entry.view.dtype = dtype(tensor, value["dtype"]);
    for (const std::uint64_t size : integers(tensor + ": shape", value["shape"])) {
      entry.view.shape.push_back(static_cast<std::int64_t>(size));
    }
    const std::vector<std::uint64_t> offsets = integers(tensor + ": data_offsets", value["data_offsets"]);
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      fail(concat(tensor, ": data_offsets: expected [begin, end] with begin <= end"));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    const auto bytes = tensor_bytes(entry.view.shape, dtype_bytes(entry.view.dtype));
    if (!bytes) fail(concat(tensor, ": shape ", shape_text(entry.view.shape), " overflows"));
    if (*bytes != entry.end - entry.begin) {
      fail(concat(tensor, ": ", dtype_name(entry.view.dtype), " ", shape_text(entry.view.shape), " needs ",
                  *bytes, " bytes, but its offsets give ", entry.end - entry.begin));
    }
    return entry;
  }

  std::map<std::string, std::string> metadata(const nlohmann::json& value) const {
    if (!value.is_object()) fail(concat(kMetadataKey, ": expected an object of strings"));
    std::map<std::string, std::string> texts;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(concat(kMetadataKey, ": \"", key, "\": expected a string"));
      texts[key] = text.get<std::string>();
    }
    return texts;
  }

  /// Gives each entry its bytes: the entries, in order of offset, must cover `data` exactly.
  void place(std::vector<HeaderEntry>& entries, std::span<const std::byte> data) const {
    std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t position = 0;
    for (HeaderEntry& entry : entries) {
      if (entry.begin != position) {
        fail(
            concat("tensor \"", entry.name, "\" starts at offset ", entry.begin, ", expected ", position,
                   entry.begin < position ? " (it overlaps another tensor)" : " (there is a gap before it)"));
      }
      if (entry.end > data.size()) {
        fail(concat("truncated: tensor \"", entry.name, "\" ends at offset ", entry.end,
                    ", but the file holds ", data.size(), " bytes of data"));
      }
      entry.view.bytes = data.subspan(static_cast<std::size_t>(entry.begin),
                                      static_cast<std::size_t>(entry.end - entry.begin));
      position = entry.end;
    }
    if (position != data.size()) {
      fail(concat(data.size() - position, " bytes follow the last tensor; expected the file to end there"));
    }
  }

 private:
  Dtype dtype(const std::string& tensor, const nlohmann::json& value) const {
    for (const DtypeFacts& facts : kDtypes) {
      if (value.is_string() && value.get_ref<const std::string&>() == facts.name) return facts.dtype;
    }
    std::vector<std::string_view> names;
    for (const DtypeFacts& facts : kDtypes) names.push_back(facts.name);
    fail(concat(tensor, ": dtype ", value.dump(), " is not known, expected one of ", join(names, ", ")));
  }

  std::vector<std::uint64_t> integers(const std::string& where, const nlohmann::json& value) const {
    std::vector<std::uint64_t> numbers;
    bool good = value.is_array();
    for (std::size_t i = 0; good && i < value.size(); ++i) {
      good = value[i].is_number_unsigned() &&
             value[i].get<std::uint64_t>() <=
                 static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
      if (good) numbers.push_back(value[i].get<std::uint64_t>());
    }
    if (!good) fail(concat(where, ": expected a list of integers from 0 to 2^63 - 1"));
    return numbers;
  }

  fs::path path_;
};

/// The header as it is written: JSON, padded with spaces so that the data starts at a multiple of 8 bytes.
std::string header_text(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  const auto fail = [&path](const std::string& message) {
    throw Error(ErrorKind::kInternal, concat("cannot write ", path.string(), ": ", message));
  };
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string> names = {kMetadataKey};
  std::uint64_t position = 0;
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.shape, dtype_bytes(tensor.dtype));
    if (!bytes || *bytes != tensor.bytes.size()) {
      fail(concat("tensor \"", tensor.name, "\": ", dtype_name(tensor.dtype), " ", shape_text(tensor.shape),
                  " does not fit the ", tensor.bytes.size(), " bytes given"));
    }
    if (!names.insert(tensor.name).second) fail(concat("the name \"", tensor.name, "\" is taken"));
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {position, position + *bytes}}};
    position += *bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& fault) {
    fail(concat("a name or a metadata text is not UTF-8: ", fault.what()));
  }
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes)
    fail(concat("header of ", text.size(), " bytes, at most ", kMaxHeaderBytes));
  return text;
}

[[noreturn]] void throw_write_fault(const fs::path& path, int error_number) {
  throw Error(ErrorKind::kResource,
              concat("cannot write ", path.string(), ": ", std::generic_category().message(error_number),
                     "; free disk space or choose another folder and run again"));
}

void write_parts(const fs::path& path, const std::vector<std::span<const std::byte>>& parts) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wbe"), &std::fclose);
  if (!file) throw_write_fault(path, errno);
  for (const auto part : parts) {
    if (!part.empty() && std::fwrite(part.data(), 1, part.size(), file.get()) != part.size()) {
      throw_write_fault(path, errno);
    }
  }
  // Network file systems report a full disk only on close.
  if (std::fflush(file.get()) != 0 || std::fclose(file.release()) != 0) throw_write_fault(path, errno);
}

}  // namespace

std::size_t dtype_bytes(Dtype dtype) {
  return facts_of(dtype).bytes;
}

std::string dtype_name(Dtype dtype) {
  return std::string(facts_of(dtype).name);
}

bool is_floating_point(Dtype dtype) {
  return dtype == Dtype::kFloat64 || dtype == Dtype::kFloat32 || dtype == Dtype::kFloat16 ||
         dtype == Dtype::kBfloat16;
}

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(path) {
  const HeaderReader reader(path);
  const std::string_view text = reader.text(file_.bytes());
  const nlohmann::json header = parse_json_strictly(text, concat(path.string(), ": header"), kHeaderDepth);
  std::vector<HeaderEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kMetadataKey) {
      metadata_ = reader.metadata(value);
    } else {
      entries.push_back(reader.entry(name, value));
    }
  }
  reader.place(entries, file_.bytes().subspan(kLengthBytes + text.size()));
  for (HeaderEntry& entry : entries) tensors_.emplace(entry.name, std::move(entry.view));
}

const TensorView& SafetensorsFile::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(ErrorKind::kInput, concat(path().string(), ": there is no tensor \"", name, "\" among its ",
                                          tensors_.size(), " tensors"));
  }
  return found->second;
}

void write_safetensors(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(path, tensors, metadata);
  const auto length = std::bit_cast<std::array<std::byte, kLengthBytes>>(std::uint64_t{header.size()});
  std::vector<std::span<const std::byte>> parts = {length, std::as_bytes(std::span(header))};
  for (const TensorToWrite& tensor : tensors) parts.push_back(tensor.bytes);

  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) throw_write_fault(path, error.value());
  const fs::path staging = staging_path(path);
  try {
    write_parts(staging, parts);
    publish(staging, path);
  } catch (...) {
    fs::remove(staging, error);  // the first fault is the one to report
    throw;
  }
}

}  // namespace foresight
