// The final answer of a worked solution, and whether two answers are the same. Free of torch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The final answer of a text: the content of its last \boxed or \fbox that is not empty (with balanced
/// braces; without braces up to the next blank outside brackets), otherwise the rest of the line after its
/// last "####"; no value if it has neither.
std::optional<std::string> final_answer(std::string_view text);

/// Whether two answers are the same in the form in which they are compared: LaTeX in one spelling
/// (answer_latex.h); without currency signs, bold and code marks, final full stop, leading variable
/// ("x = 5"), trailing unit, percent or degree sign, blanks, and commas between thousands; numbers exactly
/// ("025", "25.0" and "50/2" are "25"), also as items of tuples, lists and sets; words in lower case
/// (answer_value.h). The commas of both are read as separators of thousands, or those of both as separators
/// of items. Answers with two different variables or known units ("5 cm", "5 m") do not match; a variable or
/// unit that only one side has is ignored. An empty answer matches nothing.
bool same_answer(std::string_view first, std::string_view second);

}  // namespace foresight
