#include "trainer/base/version.h"

#ifndef FORESIGHT_VERSION
#error "FORESIGHT_VERSION comes from CMake (trainer/base/CMakeLists.txt)"
#endif

namespace foresight {

std::string code_version() {
  return FORESIGHT_VERSION;
}

}  // namespace foresight
