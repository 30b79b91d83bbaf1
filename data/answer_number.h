// Numbers of answers, exactly. Free of torch.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The reduced fraction ("-7", "3/2") that all of `text` stands for: an integer, a decimal (with a period:
/// "0.\overline{3}"), a fraction of them, a mixed number ("1 1/2"), or a number with * 10^n or an e; blanks
/// may stand between thousands.
/// No value for other texts, and if numerator or denominator do not fit 63 bits.
std::optional<std::string> exact_number(std::string_view text);

/// The product of two such numbers, written as exact_number() does; no value if one is none or it does not
/// fit.
std::optional<std::string> product_of(std::string_view one, std::string_view two);

/// Bytes of the longest such number that `text` begins with; 0 without one.
std::size_t number_prefix(std::string_view text);

}  // namespace foresight
