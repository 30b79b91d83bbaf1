// What this program was built from.
#pragma once

#include <string>

namespace foresight {

/// `foresight --version`: one line for the program and one for each library and the compiler.
std::string build_facts();

}  // namespace foresight
