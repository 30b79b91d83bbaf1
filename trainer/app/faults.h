// What an exception means to who runs the program.
#pragma once

#include <exception>

#include "trainer/base/error.h"

namespace foresight {

/// The fault behind any exception, with exit code and message: an Error as it is; memory that torch, CUDA or
/// the system refuses and a device that fails as kResource; anything else as kInternal, a fault of the
/// program. To be called where the exception is caught.
Error fault_of(const std::exception& exception);

}  // namespace foresight
