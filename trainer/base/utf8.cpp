#include "trainer/base/utf8.h"

#include <cstdint>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

/// What follows from a lead byte: characters of `length` bytes whose second byte lies in [second_low,
/// second_high].
struct LeadByte {
  std::size_t length = 0;  // 0: not a lead byte
  std::uint8_t second_low = 0x80, second_high = 0xBF;
};

LeadByte lead_byte(std::uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {0};  // continuation bytes, and C0/C1, which only begin overlong forms
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // below: overlong
  if (byte == 0xED) return {3, 0x80, 0x9F};  // above: surrogates
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};  // below: overlong
  if (byte < 0xF4) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // above: beyond U+10FFFF
  return {0};
}

}  // namespace

Utf8Step utf8_step(std::string_view text, std::size_t offset) {
  const auto byte_at = [&](std::size_t index) { return static_cast<std::uint8_t>(text[index]); };
  const std::uint8_t first = byte_at(offset);
  const LeadByte lead = lead_byte(first);
  if (lead.length == 0) return {0, 1, false, false};
  if (lead.length == 1) return {first, 1, true, false};
  auto code_point = static_cast<char32_t>(first & (0x7Fu >> lead.length));
  for (std::size_t index = 1; index < lead.length; ++index) {
    if (offset + index >= text.size()) return {0, index, false, true};
    const std::uint8_t byte = byte_at(offset + index);
    const std::uint8_t low = index == 1 ? lead.second_low : std::uint8_t{0x80};
    const std::uint8_t high = index == 1 ? lead.second_high : std::uint8_t{0xBF};
    if (byte < low || byte > high) return {0, index, false, false};
    code_point = (code_point << 6) | (byte & 0x3Fu);
  }
  return {code_point, lead.length, true, false};
}

std::size_t last_character(std::string_view text) {
  std::size_t offset = text.size() - 1;
  while (offset > 0 && (static_cast<std::uint8_t>(text[offset]) & 0xC0) == 0x80) --offset;
  return offset;
}

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = utf8_step(text, offset);
    if (!step.valid) return offset;
    offset += step.bytes;
  }
  return std::string_view::npos;
}

void require_utf8(std::string_view text, const std::string& where) {
  const std::size_t invalid = first_invalid_utf8(text);
  if (invalid == std::string_view::npos) return;
  throw Error(ErrorKind::kInput, concat(where, ": not UTF-8 at byte ", invalid));
}

std::string repair_utf8(std::string_view text) {
  std::string repaired;
  repaired.reserve(text.size());
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = utf8_step(text, offset);
    if (step.valid) {
      repaired.append(text.substr(offset, step.bytes));
    } else {
      append_utf8(repaired, U'\uFFFD');
    }
    offset += step.bytes;
  }
  return repaired;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80u | ((code_point >> shift) & 0x3Fu)); };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += static_cast<char>(0xC0u | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    text += static_cast<char>(0xE0u | (code_point >> 12));
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0u | (code_point >> 18));
    tail(12), tail(6), tail(0);
  }
}

}  // namespace foresight
