// Text and numbers as the report's page shows them; nothing here depends on the process's locale.
#pragma once

#include <string>
#include <string_view>

namespace foresight {

/// `text` with & < > " ' as entities, fit for element content and quoted attributes. Control characters other
/// than tab and line feed, which no page may hold, become U+FFFD. `text` is UTF-8.
std::string escape_html(std::string_view text);

/// Fixed notation with `digits` decimals and a true minus sign (U+2212): "0.0123", "−1.50". What rounds to
/// zero has no sign; NaN, which stands for a missing number, is an en dash.
std::string format_fixed(double value, int digits);
/// As format_fixed, with "+" before positive numbers.
std::string format_signed(double value, int digits);
/// A share as per cent with one decimal: 0.034 is "3.4 %".
std::string format_percent(double share);
/// Four significant digits at most, for axes: "0.001", "1024", "−0.5"; no exponent between 1e-5 and 1e6.
std::string format_tick(double value);
/// A whole number with thin spaces (U+202F) between thousands: "11 248".
std::string format_count(double value);
/// Bytes with a binary unit and three significant digits or so: "512 B", "1.5 MiB".
std::string format_memory(double bytes);
/// The shortest text that reads back as the same double: "0.1", "1e-07".
std::string format_exact(double value);
/// A coordinate of an SVG: one decimal at most.
std::string format_coordinate(double value);

}  // namespace foresight
