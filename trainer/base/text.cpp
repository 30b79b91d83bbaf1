#include "trainer/base/text.h"

#include <array>
#include <cstdio>

#include "trainer/base/utf8.h"

namespace foresight {
namespace {

/// C0 and C1 controls, DEL, and the two separators at which some programs break lines.
bool is_control(char32_t character) {
  return character < 0x20 || (character >= 0x7F && character < 0xA0) || character == 0x2028 ||
         character == 0x2029;
}

std::string escaped(char32_t character) {
  switch (character) {
    case U'\n':
      return "\\n";
    case U'\r':
      return "\\r";
    case U'\t':
      return "\\t";
    default:
      std::array<char, 8> text{};
      std::snprintf(text.data(), text.size(), character < 0x80 ? "\\x%02x" : "\\u%04x",
                    static_cast<unsigned>(character));
      return text.data();
  }
}

}  // namespace

std::string one_line(std::string_view text, std::size_t most_bytes) {
  std::string line;
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = utf8_step(text, offset);
    std::string part(text.substr(offset, step.bytes));
    if (!step.valid) {
      part.clear();
      for (const char byte : text.substr(offset, step.bytes)) {
        std::array<char, 8> hex{};
        std::snprintf(hex.data(), hex.size(), "\\x%02x",
                      static_cast<unsigned>(static_cast<unsigned char>(byte)));
        part += hex.data();
      }
    } else if (is_control(step.code_point)) {
      part = escaped(step.code_point);
    }
    if (line.size() + part.size() > most_bytes) return line + "...";
    line += part;
    offset += step.bytes;
  }
  return line;
}

}  // namespace foresight
