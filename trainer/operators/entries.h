// Where the entries of one KV head lie: one after the other, or in the blocks of a paged cache.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <cstdint>
#include <cstring>

namespace foresight::operators {

enum class Number { kFloat32, kFloat16, kBFloat16 };

inline std::int64_t bytes_of(Number number) {
  return number == Number::kFloat32 ? 4 : 2;
}

/// The vectors of one KV head, `width` numbers each. A dense cache is one block.
struct Entries {
  char* data = nullptr;                 ///< of the head, in block 0
  const std::int32_t* table = nullptr;  ///< blocks of the request, null for a dense cache
  std::int64_t block_size = 0;          ///< entries of a block
  /// From one block, entry or number to the next; some engines keep the keys of a block transposed.
  std::int64_t block_bytes = 0, entry_bytes = 0, number_bytes = 0;
  std::int64_t width = 0;
  Number number = Number::kFloat32;

  char* at(std::int64_t entry) const {
    if (table == nullptr) return data + entry * entry_bytes;
    return data + table[entry / block_size] * block_bytes + (entry % block_size) * entry_bytes;
  }
  /// The statistics of an entry, which are float32 and lie together.
  float* floats(std::int64_t entry) const { return reinterpret_cast<float*>(at(entry)); }

  /// The entry's `width` numbers as float32.
  void read(std::int64_t entry, float* out) const {
    if (number == Number::kFloat32) {
      read_as<float>(at(entry), out);
    } else if (number == Number::kFloat16) {
      read_as<torch::headeronly::Half>(at(entry), out);
    } else {
      read_as<torch::headeronly::BFloat16>(at(entry), out);
    }
  }

  /// Copies the numbers of entry `from` to entry `to`.
  void move(std::int64_t from, std::int64_t to) const {
    const std::int64_t bytes = bytes_of(number);
    const char* source = at(from);
    char* target = at(to);
    if (number_bytes == bytes) {
      std::memcpy(target, source, static_cast<std::size_t>(width * bytes));
      return;
    }
    for (std::int64_t i = 0; i < width; ++i) {
      std::memcpy(target + i * number_bytes, source + i * number_bytes, static_cast<std::size_t>(bytes));
    }
  }

 private:
  template <typename T>
  void read_as(const char* from, float* out) const {
    for (std::int64_t i = 0; i < width; ++i) {
      T value{};
      std::memcpy(&value, from + i * number_bytes, sizeof(T));
      out[i] = static_cast<float>(value);
    }
  }
};

}  // namespace foresight::operators
