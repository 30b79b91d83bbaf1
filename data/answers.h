// The final answer of a worked solution, and whether two answers are the same. Free of torch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The answer that a text ends with: the content of its last \boxed or \fbox that holds something (braces
/// balanced; without braces up to the next blank outside brackets), else what follows its last "####" on that
/// line; nothing where it has neither.
std::optional<std::string> final_answer(std::string_view text);

/// What is compared of an answer: equal for spellings of the same. LaTeX in one form (answer_latex.h); no
/// dollar or currency signs, bold or code marks, closing full stop, variable in front ("x = 5"), unit,
/// percent or degree sign behind, blanks, or commas between thousands; numbers exactly ("025", "25.0" and
/// "50/2" are "25"), items of tuples, lists and sets too; words in lower case (answer_value.h).
std::string normalized_answer(std::string_view answer);

/// Exact match of the normalized answers, with commas read as separators of thousands or of items, one
/// reading for both. Two variables or known units that differ ("5 cm", "5 m") are no match; one that only one
/// side has is none to compare. An empty answer matches nothing.
bool same_answer(std::string_view first, std::string_view second);

}  // namespace foresight
