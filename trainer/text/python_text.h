// Text as Python's str has it: counted in characters, with Unicode's blanks. Chat templates are written for
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foresight::python {

/// str.isspace() of one character.
bool is_space(char32_t character);

/// Characters in valid UTF-8.
std::int64_t length(std::string_view text);

/// The characters of `text`, each as UTF-8.
std::vector<std::string_view> characters(std::string_view text);

/// text.strip() at the `left` and `right` end: removes blanks, or the characters of `chosen`.
std::string_view strip(std::string_view text, bool left, bool right,
                       std::optional<std::string_view> chosen = std::nullopt);

/// text.split(separator, most), from the left or (rsplit) from the right; `separator` is not empty, `most` <
/// 0: all.
std::vector<std::string> split(std::string_view text, std::string_view separator, std::int64_t most,
                               bool from_right);

/// text.split(): at runs of blanks.
std::vector<std::string> split_at_blanks(std::string_view text);

/// text.replace(from, to, most), `most` < 0: all.
std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);

std::string upper(std::string_view text);
std::string lower(std::string_view text);

}  // namespace foresight::python
