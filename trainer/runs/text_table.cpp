#include "trainer/runs/text_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace foresight {
namespace {

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char letter) {
    return (static_cast<unsigned char>(letter) & 0xC0U) != 0x80U;  // not the middle of a code point
  }));
}

/// `format` takes one double.
std::string formatted(const char* format, double number) {
  if (std::isnan(number)) return "-";
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), format, number);
  return text.data();
}

}  // namespace

std::string text_table(const std::vector<TextColumn>& columns,
                       const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const TextColumn& column : columns) lines[0].push_back(column.heading);
  lines.insert(lines.end(), rows.begin(), rows.end());
  std::vector<std::size_t> widths(columns.size());
  for (const auto& cells : lines) {
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], width_of(cells.at(i)));
  }
  std::string table;
  for (const auto& cells : lines) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string padding(widths[i] - width_of(cells[i]), ' ');
      if (i > 0) line += "  ";
      line += columns[i].alignment == TextAlignment::kLeft ? cells[i] + padding : padding + cells[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

std::string number_text(double number) {
  return formatted("%.6g", number);
}

std::string difference_text(double number) {
  return formatted("%+.6g", number);
}

std::string loss_text(double number, bool sign) {
  return formatted(sign ? "%+.4f" : "%.4f", number);
}

}  // namespace foresight
