// The byte alphabet of byte-level vocabularies: each byte has one printable character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The character that stands for `byte`, as UTF-8. Printable Latin-1 stands for itself, the rest is moved to
/// U+0100 and up in byte order (Radford et al. 2019, GPT-2).
const std::string& byte_character(std::uint8_t byte);

/// Every byte of `bytes` as its character.
std::string to_byte_characters(std::string_view bytes);

/// The bytes that `text` stands for; nothing where one of its characters is not in the alphabet. `text` is
/// valid UTF-8.
std::optional<std::string> from_byte_characters(std::string_view text);

}  // namespace foresight
