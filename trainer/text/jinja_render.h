// Runs a chat template.
#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "trainer/text/jinja_syntax.h"

namespace foresight::jinja {

/// The text that the statements write, with `variables` by name. `now`: what strftime_now() tells; without it
/// the template sees no such function. Throws Error(kInput) through `work`: what the template raises, names
/// that have no value, and what is not supported.
std::string render(const Block& statements, Dictionary variables, const std::optional<std::tm>& now,
                   Work& work);

}  // namespace foresight::jinja
