// The value of an answer in plain_latex() spelling: numbers exactly, lists by their items. Free of torch.
#pragma once

#include <string>
#include <string_view>

namespace foresight {

/// The variable before "=", the value, and the unit after it.
struct AnswerParts {
  std::string variable;  ///< "x" of "x = 5"; empty where there is none
  std::string value;     ///< canonical: see canonical_value()
  std::string unit;      ///< canonical name of a known unit ("cm^2"); empty for others and without a unit
  std::string choice;    ///< "C" of "(C) 12"; empty where there is none
};

/// How a comma between digits is read: "1,234" is one number, or a list of two.
enum class Commas { kThousands, kList };

/// Splits an answer. Of "5 cm", "5 apples", "50%" and "30 degrees" the value is the number; of words, "5
/// million" and "5 pm" it is the whole text.
AnswerParts answer_parts(std::string_view plain, Commas commas);

/// Equal for equal values: a number that is an integer, a decimal, a fraction, a mixed number or one with
/// a whole power, * 10^n or an e is the reduced fraction ("0.50" and "1/2" are "1/2"), items of lists,
/// tuples, sets, matrices and unions of intervals too; a list outside brackets is a set, and a set's items
/// are sorted; "3 \pm 1" is both; blanks go; "(A)" is "A"; words are in lower case.
std::string canonical_value(std::string_view text);

}  // namespace foresight
