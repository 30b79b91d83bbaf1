// Safetensors files, from memory: a read behind the input's end is seen.
#include "data/safetensors_header.h"
#include "tests/fuzz/harness.h"

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
