// Oracle files (HDF5). HDF5's structures have checksums, which reject plain mutations, so the mutator repairs
// them.
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "data/oracle_file.h"
#include "tests/fuzz/harness.h"

// Of libhdf5, not of its headers: the checksum of its metadata.
extern "C" std::uint32_t H5_checksum_metadata(const void* data, std::size_t bytes, std::uint32_t start);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace foresight::fuzz {
namespace {

constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kLongestSearched = 1024;

/// A structure with its checksum at `checksum`; what is summed is [begin, end), with the checksum as zeros
/// where it lies inside.
struct Sealed {
  std::size_t begin = 0, end = 0, checksum = 0;
};

std::uint32_t checksum_of(std::uint8_t* data, const Sealed& block) {
  std::array<std::uint8_t, kChecksumBytes> kept{};
  const bool inside = block.checksum < block.end;
  if (inside) {
    std::memcpy(kept.data(), data + block.checksum, kChecksumBytes);
    std::memset(data + block.checksum, 0, kChecksumBytes);
  }
  const std::uint32_t sum = H5_checksum_metadata(data + block.begin, block.end - block.begin, 0);
  if (inside) std::memcpy(data + block.checksum, kept.data(), kChecksumBytes);
  return sum;
}

bool is_sealed(std::uint8_t* data, std::size_t size, const Sealed& block) {
  if (block.end > size || block.checksum + kChecksumBytes > size) return false;
  std::uint32_t stored = 0;
  std::memcpy(&stored, data + block.checksum, kChecksumBytes);
  return stored == checksum_of(data, block);
}

/// The structure with a signature at `begin`: a superblock, a block of a fractal heap, or what has its
/// checksum behind it, of a length that is searched. Lengths that were found are tried first: files of a
/// corpus are alike.
bool find_sealed(std::uint8_t* data, std::size_t size, std::size_t begin, Sealed& found) {
  static std::map<std::size_t, std::size_t> lengths;
  constexpr std::size_t kHeapBlockBytes = 1024, kHeapBlockChecksum = 18;
  found = {begin, begin + kHeapBlockBytes, begin + kHeapBlockChecksum};
  if (is_sealed(data, size, found)) return true;
  const auto ends_after = [&](std::size_t length) {
    found = {begin, begin + length, begin + length};
    return is_sealed(data, size, found);
  };
  const auto known = lengths.find(begin);
  if (known != lengths.end() && ends_after(known->second)) return true;
  if (known != lengths.end() && known->second == 0) return false;
  for (std::size_t length = 8; length < kLongestSearched; ++length) {
    if (!ends_after(length)) continue;
    lengths[begin] = length;
    return true;
  }
  lengths.emplace(begin, 0);
  return false;
}

std::vector<Sealed> sealed_blocks(std::uint8_t* data, std::size_t size) {
  std::vector<Sealed> blocks;
  for (std::size_t begin = 0; begin + 8 < size; ++begin) {
    for (const char* signature :
         {"\x89HDF", "OHDR", "OCHK", "FRHP", "FHDB", "BTHD", "BTLF", "FAHD", "FADB", "FSHD"}) {
      Sealed block;
      if (std::memcmp(data + begin, signature, 4) == 0 && find_sealed(data, size, begin, block)) {
        blocks.push_back(block);
      }
    }
  }
  return blocks;
}

/// Changes a few bytes of one structure and seals it again.
void change_sealed(std::uint8_t* data, const Sealed& block, std::minstd_rand& random) {
  const std::size_t changes = 1 + random() % 4;
  for (std::size_t change = 0; change < changes; ++change) {
    std::uint8_t& byte = data[block.begin + 4 + random() % (block.end - block.begin - 4)];
    const std::array<std::uint8_t, 6> values = {0,
                                                0xFF,
                                                static_cast<std::uint8_t>(byte + 1),
                                                static_cast<std::uint8_t>(byte - 1),
                                                static_cast<std::uint8_t>(byte ^ (1U << random() % 8)),
                                                static_cast<std::uint8_t>(random())};
    byte = values[random() % values.size()];
  }
  const std::uint32_t sum = checksum_of(data, block);
  std::memcpy(data + block.checksum, &sum, kChecksumBytes);
}

}  // namespace

void fuzz_one(std::string_view input) {
  const auto path = put_file("in.h5", input);
  // HDF5 trusts sizes whose checksum fits, so this target only reports crashes, not memory.
  expect_kept({.name = "in.h5", .fixed_bytes = std::size_t{1} << 30}, input.size(), [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) reader.open_layer(layer);
  });
}

}  // namespace foresight::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  using namespace foresight::fuzz;  // NOLINT(google-build-using-namespace): a function of this target
  std::minstd_rand random(seed);
  if (random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::vector<Sealed> blocks = sealed_blocks(data, size);
  if (blocks.empty()) return LLVMFuzzerMutate(data, size, max_size);
  change_sealed(data, blocks[random() % blocks.size()], random);
  return size;
}
