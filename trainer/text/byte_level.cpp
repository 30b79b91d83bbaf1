#include "trainer/text/byte_level.h"

#include <array>
#include <cstddef>

#include "trainer/base/utf8.h"

namespace foresight {

namespace {

constexpr char32_t kCharacters = 0x144;  // the alphabet lies below

struct ByteAlphabet {
  std::array<std::string, 256> characters;
  std::array<int, kCharacters> bytes{};  // -1: not in the alphabet

  ByteAlphabet() {
    bytes.fill(-1);
    char32_t next_moved = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next_moved++;
      append_utf8(characters[static_cast<std::size_t>(byte)], code_point);
      bytes[code_point] = byte;
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet kAlphabet;
  return kAlphabet;
}

}  // namespace

const std::string& byte_character(std::uint8_t byte) {
  return alphabet().characters[byte];
}

std::string to_byte_characters(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) text += byte_character(static_cast<std::uint8_t>(byte));
  return text;
}

std::optional<std::string> from_byte_characters(std::string_view text) {
  std::string bytes;
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = utf8_step(text, offset);
    const int byte = step.valid && step.code_point < kCharacters ? alphabet().bytes[step.code_point] : -1;
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    offset += step.bytes;
  }
  return bytes;
}

}  // namespace foresight
