// The version of this build.
#pragma once

#include <string>

namespace foresight {

/// "0.1.0", or "0.1.0+<commit>" when built from a git checkout.
std::string code_version();

}  // namespace foresight
