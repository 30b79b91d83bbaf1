#include "tests/fuzz/mutate_safetensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace foresight::fuzz {

std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  constexpr std::size_t kLengthBytes = 8;
  std::uint64_t length = 0;
  if (size >= kLengthBytes) std::memcpy(&length, data, kLengthBytes);
  const bool whole = size > kLengthBytes && length > 0 && length <= size - kLengthBytes;
  if (!whole || seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::size_t data_bytes = size - kLengthBytes - length;
  if (seed % 8 == 1 && data_bytes > 0) {
    const std::size_t begin = kLengthBytes + length;
    return begin + LLVMFuzzerMutate(data + begin, data_bytes, max_size - begin);
  }
  std::vector<std::uint8_t> header(max_size - kLengthBytes - data_bytes);
  std::memcpy(header.data(), data + kLengthBytes, length);
  const std::uint64_t mutated = LLVMFuzzerMutate(header.data(), length, header.size());
  std::memmove(data + kLengthBytes + mutated, data + kLengthBytes + length, data_bytes);
  std::memcpy(data + kLengthBytes, header.data(), mutated);
  std::memcpy(data, &mutated, kLengthBytes);
  return kLengthBytes + mutated + data_bytes;
}

}  // namespace foresight::fuzz
