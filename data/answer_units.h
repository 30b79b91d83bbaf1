// Units after the numbers of answers. Free of torch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The unit that `text` is after a value in plain_latex() spelling: its canonical name ("cm^2" of "square
/// centimeters", "percent", "degree"), empty for an unknown unit ("apples", "km/h"), no value if it is no
/// unit. Words in \text{} are units, bare ones from three letters on; a bare letter after a number ("5x") is
/// a factor, and "5 million", "5 pm" and "5 or more" mean more than their numbers. After a value that is not
/// just a number (`behind_number` false), only known units count.
std::optional<std::string> unit_name(std::string_view text, bool behind_number);

}  // namespace foresight
