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

[[noreturn]] void fail_to_write(const fs::path& path, const std::string& message) {
  throw Error(ErrorKind::kInternal, concat("cannot write ", path.string(), ": ", message));
}

/// The header that is written after its length: JSON, padded with spaces so that the data starts at a
/// multiple of 8 bytes.
std::string header_text(const fs::path& path, const std::vector<TensorToFill>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  const auto fail = [&path](const std::string& message) { fail_to_write(path, message); };
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
  std::set<std::string> names = {kSafetensorsMetadata};
  std::uint64_t position = 0;
  for (const TensorToFill& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.shape, tensor.dtype);
    if (!bytes) fail(concat("tensor \"", tensor.name, "\": ", shape_text(tensor.shape), " has no size"));
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
  const auto length = std::bit_cast<std::array<char, kSafetensorsLengthBytes>>(std::uint64_t{text.size()});
  return std::string(length.data(), length.size()) + text;
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
  std::vector<TensorToFill> shapes;
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor_bytes(tensor.shape, tensor.dtype);
    if (!bytes || *bytes != tensor.bytes.size()) {
      fail_to_write(
          path, concat("tensor \"", tensor.name, "\": ", dtype_name(tensor.dtype), " ",
                       shape_text(tensor.shape), " does not fit the ", tensor.bytes.size(), " bytes given"));
    }
    shapes.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  const std::string header = header_text(path, shapes, metadata);
  std::vector<std::string_view> parts = {header};
  for (const TensorToWrite& tensor : tensors)
    parts.emplace_back(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  write_file_atomically(path, parts);
}

SafetensorsWriter::SafetensorsWriter(const fs::path& path, const std::vector<TensorToFill>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path) {
  const std::string header = header_text(path, tensors, metadata);
  std::uint64_t position = header.size();
  for (const TensorToFill& tensor : tensors) {
    const std::uint64_t bytes = *tensor_bytes(tensor.shape, tensor.dtype);
    places_[tensor.name] = {position, bytes, dtype_bytes(tensor.dtype)};
    position += bytes;
  }
  file_ = std::make_unique<StagedFile>(path, position);
  file_->write(0, header);
}

void SafetensorsWriter::fill(const std::string& name, std::int64_t first_element,
                             std::span<const std::byte> bytes) {
  const auto place = places_.find(name);
  const std::uint64_t first =
      place == places_.end() ? 0 : static_cast<std::uint64_t>(first_element) * place->second.element_bytes;
  if (place == places_.end() || first_element < 0 || first + bytes.size() > place->second.bytes)
    fail_to_write(path_,
                  concat(bytes.size(), " bytes from element ", first_element, " of tensor \"", name, "\""));
  file_->write(place->second.first_byte + first, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace foresight
