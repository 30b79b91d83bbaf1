#include "data/safetensors_header.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

constexpr int kHeaderDepth = 3;  // header, tensor, shape

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

/// A tensor of the header, before it has its bytes.
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
    refuse_lfs_pointer({reinterpret_cast<const char*>(file.data()), file.size()}, path_);
    if (file.size() < kSafetensorsLengthBytes) {
      fail(concat("not a safetensors file: it holds ", file.size(), " bytes, expected at least 8"));
    }
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), kSafetensorsLengthBytes);
    if (length > kSafetensorsMaxHeaderBytes) {
      fail(concat("not a safetensors file: header of ", length, " bytes, expected at most ",
                  kSafetensorsMaxHeaderBytes));
    }
    if (length > file.size() - kSafetensorsLengthBytes) {
      fail(concat("truncated: header of ", length, " bytes, but only ", file.size() - kSafetensorsLengthBytes,
                  " bytes follow its length"));
    }
    const std::string_view header(reinterpret_cast<const char*>(file.data()) + kSafetensorsLengthBytes,
                                  static_cast<std::size_t>(length));
    if (!header.starts_with('{')) fail("not a safetensors file: expected its header to start with {");
    return header;
  }

  HeaderEntry entry(const std::string& name, const nlohmann::json& value) const {
    const std::string tensor = concat("tensor \"", one_line(name), "\"");
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
    const auto bytes = tensor_bytes(entry.view.shape, entry.view.dtype);
    if (!bytes) fail(concat(tensor, ": shape ", one_line(shape_text(entry.view.shape)), " overflows"));
    if (*bytes != entry.end - entry.begin) {
      fail(concat(tensor, ": ", dtype_name(entry.view.dtype), " ", one_line(shape_text(entry.view.shape)),
                  " needs ", *bytes, " bytes, but its offsets give ", entry.end - entry.begin));
    }
    return entry;
  }

  std::map<std::string, std::string> metadata(const nlohmann::json& value) const {
    if (!value.is_object()) fail(concat(kSafetensorsMetadata, ": expected an object of strings"));
    std::map<std::string, std::string> texts;
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        fail(concat(kSafetensorsMetadata, ": \"", one_line(key), "\": expected a string"));
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
        fail(concat(
            "tensor \"", one_line(entry.name), "\" starts at offset ", entry.begin, ", expected ", position,
            entry.begin < position ? " (it overlaps another tensor)" : " (there is a gap before it)"));
      }
      if (entry.end > data.size()) {
        fail(concat("truncated: tensor \"", one_line(entry.name), "\" ends at offset ", entry.end,
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
    fail(concat(tensor, ": dtype ", one_line(value.dump()), " is not known, expected one of ",
                join(names, ", ")));
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

std::optional<std::uint64_t> tensor_bytes(const std::vector<std::int64_t>& shape, Dtype dtype) {
  const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = dtype_bytes(dtype);
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) return std::nullopt;
    empty = empty || size == 0;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1));
    if (bytes > limit / factor) return std::nullopt;
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return "[" + join(shape, ", ") + "]";
}

SafetensorsContent read_safetensors(std::span<const std::byte> file, const fs::path& path) {
  const HeaderReader reader(path);
  const std::string_view text = reader.text(file);
  const nlohmann::json header = parse_json_strictly(text, concat(path.string(), ": header"), kHeaderDepth);
  SafetensorsContent content;
  std::vector<HeaderEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == kSafetensorsMetadata) {
      content.metadata = reader.metadata(value);
    } else {
      entries.push_back(reader.entry(name, value));
    }
  }
  reader.place(entries, file.subspan(kSafetensorsLengthBytes + text.size()));
  for (HeaderEntry& entry : entries) content.tensors.emplace(entry.name, std::move(entry.view));
  return content;
}

}  // namespace foresight
