// Numbers of answers, exactly. Free of torch.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The reduced fraction ("-7", "3/2") that all of `text` stands for: an integer, a decimal, a fraction of
/// them, a mixed number ("1 1/2"), or a number with * 10^n or an e; blanks may stand between thousands.
/// No value for other texts, and if numerator or denominator do not fit 63 bits.
std::optional<std::string> exact_number(std::string_view text);

/// Bytes of the longest such number that `text` begins with; 0 without one.
std::size_t number_prefix(std::string_view text);

}  // namespace foresight
