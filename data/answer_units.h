// Units behind the numbers of answers. Free of torch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// Whether `text`, which stands behind a value in plain_latex() spelling, is its unit: nothing where it is
/// none, else the unit's one name ("cm^2" of "square centimeters", "percent", "degree"), which is empty where
/// it is not known ("apples", "km/h"). Words in \text{} are units, bare ones from three letters on; a bare
/// letter behind a number ("5x") is a factor, and "5 million", "5 pm" and "5 or more" are more than their
/// numbers. Behind what is not just a number (`behind_number` false) only known units are.
std::optional<std::string> unit_name(std::string_view text, bool behind_number);

}  // namespace foresight
