// Safetensors files, read by memory map and written atomically. Free of torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trainer/base/files.h"
#include "trainer/base/staged_file.h"

namespace foresight {

enum class Dtype { kFloat64, kFloat32, kFloat16, kBfloat16, kInt64, kInt32, kInt16, kInt8, kUint8, kBool };

std::size_t dtype_bytes(Dtype dtype);
/// "F32", "BF16", ... as the format spells it.
std::string dtype_name(Dtype dtype);
bool is_floating_point(Dtype dtype);

/// A named tensor inside a mapped file; valid while the file lives. Row-major.
struct TensorView {
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// One opened file. The header is checked before anything is used: size at most 100 MB and within the file,
/// JSON object, known types, products without overflow, offsets in order, no overlap, no gap, file covered
/// exactly, no duplicate names. Every fault throws Error(kInput) naming file, tensor and what was expected.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws Error(kInput) naming the tensor and the file when absent.
  const TensorView& at(const std::string& name) const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// What to write: bytes must stay valid during the call.
struct TensorToWrite {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes atomically (staging file, fsync, rename). Tensors in the given order; header padded to 8 bytes.
/// Throws Error(kResource) on I/O faults, Error(kInternal) when bytes do not fit the shape.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata);

/// A tensor that will be written piece by piece.
struct TensorToFill {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
};

/// Writes a file whose tensors are not all in memory at once. The file appears whole or not at all; elements
/// that are never filled are 0.
class SafetensorsWriter {
 public:
  /// Throws Error(kResource) on I/O faults, Error(kInternal) for shapes without a size or names given twice.
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<TensorToFill>& tensors,
                    const std::map<std::string, std::string>& metadata);
  /// Writes elements of `name` from `first_element` on, in row-major order. Throws as above.
  void fill(const std::string& name, std::int64_t first_element, std::span<const std::byte> bytes);
  void publish() { file_->publish(); }

 private:
  struct Place {
    std::uint64_t first_byte, bytes;
    std::size_t element_bytes;
  };
  std::filesystem::path path_;
  std::map<std::string, Place> places_;
  std::unique_ptr<StagedFile> file_;
};

}  // namespace foresight
