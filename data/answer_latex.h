// LaTeX and Unicode of answers in one spelling. Free of torch.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "data/answer_signs.h"

namespace foresight {

/// `answer` with one spelling for each meaning: \dfrac12, \tfrac{1}{2} and 1/2 are "1/2"; \left, \right,
/// sizes, spacing commands, dollar and currency signs are removed; Unicode's minus signs and digits become
/// ASCII's; \cdot and \times become "*"; x^{2} becomes x^2; a line over other things than digits is left out.
/// Unknown commands stay. A mixed number is "1 1/2".
/// The contents of \text{} and ^\circ are marked by the signs of answer_signs.h.
std::string plain_latex(std::string_view answer);

/// The content of the brace that opens at `open` (escaped braces do not count); npos as its end if it never
/// closes: {content, place behind the closing brace}.
std::pair<std::string_view, std::size_t> braced(std::string_view text, std::size_t open);

}  // namespace foresight
