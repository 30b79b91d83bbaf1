// The value of an answer in plain_latex() spelling: numbers exactly, lists by their items. Free of torch.
#pragma once

#include <string>
#include <string_view>

namespace foresight {

/// The variable before "=", the value, and the unit after it.
struct AnswerParts {
  std::string variable;  ///< "x" of "x = 5"; empty where there is none
  std::string value;     ///< canonical: see canonical_value()
  std::string unit;  ///< canonical name of a known unit ("cm^2"); empty for other units and without a unit
};

/// How a comma between digits is read: "1,234" is one number, or a list of two.
enum class Commas { kThousands, kList };

/// Splits an answer. Of "5 cm", "5 apples", "50%" and "30 degrees" the value is the number; of words, "5
/// million" and "5 pm" it is the whole text.
AnswerParts answer_parts(std::string_view plain, Commas commas);

/// Equal for equal values: an integer, decimal, fraction, mixed number or number with * 10^n or an e becomes
/// the reduced fraction ("0.50" and "1/2" are "1/2"), also as an item of a list, tuple or set; a set's items
/// are sorted; blanks are removed; "(A)" becomes "A"; words become lower case.
std::string canonical_value(std::string_view text);

}  // namespace foresight
