// The header of a safetensors file: reads it from bytes in memory, and has the code that the writer shares.
// https://github.com/huggingface/safetensors (README, "Format"): 8 bytes of header length (little-endian), a
// JSON header, the tensors' bytes without a gap.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/safetensors.h"

namespace foresight {

inline constexpr std::uint64_t kSafetensorsLengthBytes = 8;
inline constexpr std::uint64_t kSafetensorsMaxHeaderBytes =
    100'000'000;  // the reference implementation's limit
inline constexpr const char* kSafetensorsMetadata = "__metadata__";

/// The content of a file; the tensors' bytes point into it.
struct SafetensorsContent {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads `file`, the whole file's bytes; `path` names it in messages. Checks and throws as SafetensorsFile
/// does.
SafetensorsContent read_safetensors(std::span<const std::byte> file, const std::filesystem::path& path);

/// Bytes of a tensor; no value if a size is negative or the product of the sizes does not fit int64, even if
/// another size is 0.
std::optional<std::uint64_t> tensor_bytes(const std::vector<std::int64_t>& shape, Dtype dtype);

/// "[2, 3]"
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace foresight
