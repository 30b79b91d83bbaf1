// Safetensors files, from memory: a read behind the input's end is seen.
#include "data/safetensors_header.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/mutate_safetensors.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  expect_kept({.name = "in.safetensors"}, input.size(), [&] {
    const SafetensorsContent content = read_safetensors(std::as_bytes(std::span(input)), "in.safetensors");
    for (const auto& [name, tensor] : content.tensors) {
      touch({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()});
    }
  });
}

}  // namespace foresight::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  return foresight::fuzz::mutate_safetensors(data, size, max_size, seed);
}
