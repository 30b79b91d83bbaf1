// Unicode of answers in ASCII and LaTeX. Free of torch.
#pragma once

#include <string>
#include <string_view>

namespace foresight {

/// `answer` with minus signs, digits, blanks and the usual signs of mathematics as ASCII or LaTeX; bytes that
/// are not UTF-8, and control characters (which stand for something in answer_signs.h), go.
std::string in_ascii(std::string_view answer);

}  // namespace foresight
