// The final answer of a worked solution, and whether two answers are the same. Free of torch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foresight {

/// The answer that a text ends with: the content of its last \boxed{...} (braces balanced), else what follows
/// its last "####" on that line; nothing where it has neither.
std::optional<std::string> final_answer(std::string_view text);

/// What is compared of an answer: without blanks at the ends, enclosing dollar signs, a leading currency
/// sign, \text{} and \, spacing, a closing full stop, and commas between thousands; numbers in their shortest
/// form
/// ("025" and "25.0" are "25").
std::string normalized_answer(std::string_view answer);

/// Exact match of the normalized answers; an empty one matches nothing.
bool same_answer(std::string_view first, std::string_view second);

}  // namespace foresight
