// Mutations that keep a safetensors file's header length right.
#pragma once

#include <cstddef>
#include <cstdint>

namespace foresight::fuzz {

/// Mutates in place, as libFuzzer's LLVMFuzzerCustomMutator is asked to; returns the new size. Mostly the
/// header or the data alone, with the length before the header set to fit; now and then any byte.
std::size_t mutate_safetensors(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);

}  // namespace foresight::fuzz
