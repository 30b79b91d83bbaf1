// Plain text tables for a terminal, and the numbers in them.
#pragma once

#include <string>
#include <vector>

namespace foresight {

enum class TextAlignment { kLeft, kRight };

/// A column of a text table.
struct TextColumn {
  std::string heading;
  TextAlignment alignment = TextAlignment::kLeft;
};

/// The rows below their headings, two spaces between columns, no spaces at the ends of lines. Every row has a
/// cell for each column. Cells are UTF-8 without line ends; a code point counts as one column of the
/// terminal.
std::string text_table(const std::vector<TextColumn>& columns,
                       const std::vector<std::vector<std::string>>& rows);

/// "-" for NaN, which stands for a missing number. Six significant digits.
std::string number_text(double number);
/// As number_text, with "+" before numbers from 0 on.
std::string difference_text(double number);
/// With four digits after the point, as tables of losses have them; `sign`: "+" before numbers from 0 on.
std::string loss_text(double number, bool sign);

}  // namespace foresight
