// Runs a chat template.
#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "trainer/text/jinja_syntax.h"

namespace foresight::jinja {

/// The text that the statements write, with `variables` by name. `now`: the date of strftime_now(); without
/// it that function does not exist for the template. Throws Error(kInput) through `work`: what the template
/// raises, names that have no value, and what is not supported.
std::string render(const Block& statements, Dictionary variables, const std::optional<std::tm>& now,
                   Work& work);

}  // namespace foresight::jinja
