#include "data/safetensors.h"

#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "data/safetensors_header.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they stand in the file");

/// The header as it is written: JSON, padded with spaces so that the data starts at a multiple of 8 bytes.
std::string header_text(const fs::path& path, const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  const auto fail = [&path](const std::string& message) {
    throw Error(ErrorKind::kInternal, concat("cannot write ", path.string(), ": ", message));
  };
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  std::set<std::string> names = {kSafetensorsMetadata};
  std::uint64_t position = 0;
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.shape, tensor.dtype);
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
  text.append((kSafetensorsLengthBytes - text.size() % kSafetensorsLengthBytes) % kSafetensorsLengthBytes,
              ' ');
  if (text.size() > kSafetensorsMaxHeaderBytes)
    fail(concat("header of ", text.size(), " bytes, at most ", kSafetensorsMaxHeaderBytes));
  return text;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(path) {
  SafetensorsContent content = read_safetensors(file_.bytes(), path);
  tensors_ = std::move(content.tensors);
  metadata_ = std::move(content.metadata);
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
  const auto length = std::bit_cast<std::array<char, kSafetensorsLengthBytes>>(std::uint64_t{header.size()});
  std::vector<std::string_view> parts = {{length.data(), length.size()}, header};
  for (const TensorToWrite& tensor : tensors)
    parts.emplace_back(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  write_file_atomically(path, parts);
}

}  // namespace foresight
