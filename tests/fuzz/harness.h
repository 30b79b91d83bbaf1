// Shared code of the fuzz targets: the input as a file, and the promise that every parser must keep for any
// input.
//
// A target is one file, fuzz_NAME.cpp, that defines fuzz_one(): it passes its bytes to the parser inside
// expect_kept(). A broken promise ends the process, and libFuzzer saves the input.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "trainer/base/error.h"

namespace foresight::fuzz {

/// One input; defined by each target.
void fuzz_one(std::string_view input);

/// What a parser promises: it returns or throws an Error of this kind; every line of the message has `name`
/// and nothing that moves a cursor; and what it holds at once is bounded by the size of the input.
struct Promise {
  std::string name;  ///< of the input's file
  ErrorKind kind = ErrorKind::kInput;
  bool many_lines = false;  ///< one line per fault, as of configurations; else one line
  std::size_t fixed_bytes = std::size_t{1} << 20;  ///< allowed whatever the input, for buffers and tables
  std::size_t bytes_per_byte = 100;                ///< and so many more for each byte of the input
};

/// Runs `parse` on an input of `input_bytes` and ends the process if the promise is broken.
void expect_kept(const Promise& promise, std::size_t input_bytes, const std::function<void()>& parse);

/// A folder of this process, which is removed with it.
const std::filesystem::path& work_folder();

/// Writes a file into work_folder(), replacing an older one, and returns its path.
std::filesystem::path put_file(const std::string& name, std::string_view content);

/// Keeps the compiler from leaving out reads: use every byte that a parser hands out.
void touch(std::string_view bytes);

}  // namespace foresight::fuzz
